"""Packing: every file in one split, the splits of about equal work, and never too many or too few of them."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowspark import splits
from flowspark.files import LogFile
from flowspark.splits import Split

MB = 1 << 20


def files(*sizes: int) -> list[LogFile]:
    """Log files of these sizes, named so that their order by path is the order given."""
    return [LogFile(f"/logs/{number:07}.log", size) for number, size in enumerate(sizes)]


def pack(given_files: list[LogFile], cores: int = 4) -> list[Split]:
    return splits.pack(given_files, cores)


def paths(splits: list[Split]) -> list[list[str]]:
    return [[file.path for file in split] for split in splits]


def bytes_of(split: Split) -> int:
    return sum(file.size for file in split)


LARGEST = st.sampled_from([1000, 10 * MB, 60 * MB, 3000 * MB])
SIZES = LARGEST.flatmap(lambda largest: st.lists(st.one_of(st.just(0), st.integers(0, largest)), max_size=60))


@given(SIZES)
@example([0])
@example([0] * 60)
@example([5000 * MB])
@example([5000 * MB, 0])
def test_every_file_is_in_exactly_one_split(sizes):
    given_files = files(*sizes)
    packed = pack(given_files)
    assert Counter(file for split in packed for file in split) == Counter(given_files)
    assert all(packed)


@given(SIZES, st.randoms(use_true_random=False))
def test_the_same_files_in_any_order_give_the_same_splits(sizes, chance):
    shuffled = files(*sizes)
    chance.shuffle(shuffled)
    assert pack(shuffled) == pack(files(*sizes))


@given(st.lists(st.integers(MB, 2000 * MB), min_size=1, max_size=12))
def test_a_file_larger_than_all_others_together_is_read_first(sizes):
    largest = 2 * sum(sizes)
    assert pack(files(*sizes, largest))[0][0].size == largest


@given(st.integers(1, 300), st.integers(0, 200 * MB))
def test_files_of_one_size_are_shared_out_evenly(number, size):
    lengths = [len(split) for split in pack(files(*[size] * number))]
    assert max(lengths) - min(lengths) <= 1


def test_no_file_gives_no_split():
    assert pack([]) == []


@pytest.mark.parametrize("size", [0, 1, 100 * MB, 10_000 * MB])
def test_one_file_is_one_split(size):
    assert pack(files(size)) == [files(size)]


def test_the_files_are_kept_as_they_were_listed():
    small, large = LogFile("/logs/a b.log", 7, "2023-11-14T22:13:20Z"), LogFile("s3://bucket/c.log", 9)
    given_files = [small, large]
    assert pack(given_files) == [[large, small]]
    assert given_files == [small, large]


@given(SIZES)
def test_the_heaviest_split_comes_first(sizes):
    packed = pack(files(*sizes))
    # a file's weight is its bytes and a fixed cost, the same for all: of splits with as many files, the bytes decide
    for one, other in pairwise(packed):
        assert bytes_of(one) >= bytes_of(other) or len(one) > len(other)


def test_the_heaviest_split_need_not_hold_the_largest_file():
    # 125 MB for two cores are two splits: 50, then 40, then 35 beside the lighter of them
    assert paths(pack(files(50 * MB, 40 * MB, 35 * MB), cores=2)) == [
        ["/logs/0000001.log", "/logs/0000002.log"],
        ["/logs/0000000.log"],
    ]


def test_of_large_files_the_largest_is_a_split_of_its_own_and_comes_first():
    # 1,900 MB are as many splits as there are cores, and files
    packed = pack(files(100 * MB, 900 * MB, 300 * MB, 600 * MB))
    assert [bytes_of(split) // MB for split in packed] == [900, 600, 300, 100]


def test_the_work_is_shared_out_evenly():
    packed = pack(files(*[10 * MB] * 640))
    # 6,400 MB, and 160 for opening the files, at 1 GB a split are 7, and four cores have 8
    assert Counter(len(split) for split in packed) == {80: 8}


def test_small_files_fill_up_the_splits_beside_a_large_one():
    packed = pack(files(1000 * MB, *[MB] * 1000))
    # 2,000 MB, and 250 for opening 1,001 files: one split for each of four cores
    assert len(packed) == 4
    assert paths(packed)[0] == ["/logs/0000000.log"]
    sizes = [bytes_of(split) for split in packed[1:]]
    assert max(sizes) - min(sizes) <= MB


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ([100] * 10, 1),
        ([MB] * 6, 1),
        ([MB] * 60, 3),
        ([20 * MB] * 3, 2),
    ],
)
def test_a_small_input_does_not_pay_for_many_tasks(sizes, most):
    assert len(pack(files(*sizes), cores=64)) <= most


@pytest.mark.parametrize("cores", [16, 100])
def test_an_input_of_some_size_has_a_split_for_every_core(cores):
    # 3,200 MB, and 160 for opening 640 files: 210 MB or 34 MB a core
    assert len(pack(files(*[5 * MB] * 640), cores)) == cores


@pytest.mark.parametrize("cores", [1, 3, 64, 500])
def test_a_large_input_has_no_split_that_outlives_the_others(cores):
    packed = pack(files(*[64 * MB] * 1600), cores)
    # 100 GB at most 1 GB a split are at least 100 splits, of 16 files at most; the last round is a full one
    assert len(packed) >= 100
    assert max(len(split) for split in packed) <= 16
    assert len(packed) % cores == 0


def test_very_many_tiny_files_are_not_one_task():
    packed = pack(files(*[100] * 100_000))
    # 10 MB of bytes alone: it is the cost of opening, a quarter of a megabyte each, that spreads them out;
    # at 1 GB a split that is about 4,000 files, and a million of them are about 250 splits
    assert max(len(split) for split in packed) <= 4096


def test_empty_files_cost_something_too():
    assert len(pack(files(*[0] * 40_000))) >= 10


def test_files_of_one_size_are_dealt_out_by_path():
    forward = files(*[100 * MB] * 8)
    backward = forward[::-1]
    random.Random(1).shuffle(backward)
    # a split for each of eight cores; equal splits are in the order of their paths
    assert paths(pack(backward, cores=8)) == [[file.path] for file in forward]

"""The limit on rejected lines, compared exactly; and what is told of many bad files."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from flowspark.books import Books
from flowspark.checks import check_files
from flowspark.errors import InputError
from flowspark.report import warnings


@pytest.mark.parametrize(
    ("rejected", "flows", "limit", "too_many"),
    [
        (1, 9, "0.1", False),
        (1, 8, "0.1", True),
        (1, 99, "0.01", False),
        (1, 98, "0.01", True),
        (0, 0, "0", False),
        (0, 9, "0", False),
        (1, 0, "1", False),
        (1, 10**9, "0", True),
        (1, 9, "0.0" + "9" * 60, True),
        (1, 9, "0.1" + "0" * 60, False),
        (1, 9, "0.1" + "0" * 60 + "1", False),
        (1, 9, "1e-999999999", True),
    ],
)
def test_rule_9_the_ratio_compares_exactly_as_the_decimal_written(rejected, flows, limit, too_many):
    books = Books(totals=Counter(flows=flows, bad_number=rejected))
    assert books.too_many_rejects(Decimal(limit)) is too_many


@pytest.mark.parametrize("limit", [0, 1, 0.5])
def test_a_limit_may_be_any_number(limit):
    books = Books(totals=Counter(flows=1, bad_number=1))
    assert books.too_many_rejects(limit) is (limit < 0.5)


def with_bad_files(count: int, listed: int) -> Books:
    return Books(listed=listed, files=listed - count, bad_files={f"/logs/{n:04}.log": "corrupt gzip" for n in range(count)})


def test_an_error_names_the_first_100_bad_files_and_how_to_find_the_others():
    with pytest.raises(InputError) as caught:
        check_files(with_bad_files(2500, 4000), "fail")
    first, *lines = str(caught.value).split("\n  ")
    assert first.startswith("2,500 of 4,000 file(s) cannot be used")
    assert lines[:100] == [f"/logs/{n:04}.log: corrupt gzip" for n in range(100)]
    assert len(lines) == 101
    assert lines[100].startswith("… and 2,400 more; to see them, run with a part of the input")
    with pytest.raises(InputError, match=r"not one of the 2,500 file\(s\) can be used.*\n(.*\n){100}  … and 2,400 more"):
        check_files(with_bad_files(2500, 2500), "skip")


def test_an_error_names_all_of_100_bad_files():
    with pytest.raises(InputError) as caught:
        check_files(with_bad_files(100, 100), "fail")
    assert str(caught.value).endswith("\n  /logs/0099.log: corrupt gzip")


def test_the_summary_names_the_first_1000_bad_files_and_counts_all():
    books = with_bad_files(2500, 4000)
    assert [bad["path"] for bad in books.first_bad_files] == [f"/logs/{n:04}.log" for n in range(1000)]
    assert (books.summary()["files"], books.summary()["files_skipped"]) == (1500, 2500)


def test_the_warnings_name_the_first_20_bad_files_and_count_the_others():
    books = with_bad_files(2500, 4000)
    summary = {
        "books": books.summary(),
        "bad_files": books.first_bad_files,
        "lookup": {"mappings": 1, "conflicts": []},
        "late_files": [],
        "layouts": [],
        "unknown_fields": [],
        "flows_without_ports": 0,
    }
    *named, others = warnings(summary)
    assert named == [f"left out: /logs/{n:04}.log: corrupt gzip" for n in range(20)]
    assert others == "left out: 2,480 more file(s); the files table has all of them"


@pytest.mark.parametrize(
    ("decoder", "lines", "warned"), [("python", 100_001, 1), ("python", 100_000, 0), ("compiled", 10**9, 0)]
)
def test_a_run_that_decodes_much_in_plain_python_says_so_once(decoder, lines, warned):
    summary = {
        "decoder": decoder,
        "books": Books(totals=Counter(lines=lines)).summary(),
        "bad_files": [],
        "lookup": {"mappings": 1, "conflicts": []},
        "late_files": [],
        "layouts": [],
        "unknown_fields": [],
        "flows_without_ports": 0,
    }
    assert sum("plain Python" in sentence for sentence in warnings(summary)) == warned

"""Which files look like copies of others."""

from __future__ import annotations

import tracemalloc

import pytest

from flowspark.copies import warn_of_copies
from flowspark.files import LogFile, file_identity

AWS = "123456789010_vpcflowlogs_eu-west-1_fl-0a1b2c3d_20261122T0515Z_9f8e7d6c.log"


def warnings(caplog, *paths: str) -> list[str]:
    caplog.clear()
    warn_of_copies({file_identity(path): LogFile(path, 1) for path in paths})
    return [record.message for record in caplog.records]


@pytest.mark.parametrize("original", ["x.log", "x.log.gz", f"{AWS}.gz"])
@pytest.mark.parametrize(
    "mark",
    "{} (1){}|{}(2){}|{} - Copy{}|{} - Copy (3){}|{} copy{}|{} copy 2{}|{} (copy){}|{} (another copy){}|{} (3rd copy){}|"
    "Copy of {}{}|Copy (2) of {}{}".split("|"),
)
def test_a_name_that_a_tool_gives_to_a_copy_is_a_copy_beside_its_original(caplog, original, mark):
    stem, dot, end = original.partition(".")
    copy = mark.format(stem, dot + end)
    (message,) = warnings(caplog, f"/logs/{original}", f"/logs/{copy}")
    assert message == (
        f"1 file(s) look like copies of others, and both are counted: /logs/{copy} beside {original}; "
        "remove those that should not count"
    )
    at_end = mark.format(original, "")
    assert len(warnings(caplog, f"/logs/{original}", f"/logs/{at_end}")) == 1
    assert warnings(caplog, f"/logs/{copy}", f"/logs/other/{original}") == []  # another folder
    assert warnings(caplog, f"/logs/{copy}") == []  # no original


@pytest.mark.parametrize(
    ("original", "copy"),
    [
        ("x.log", "x.log.gz"),
        (AWS, f"{AWS}.gz"),
        ("x", "x.gz"),
        ("x.log.gz", "x.log.gz.1"),
        ("x.log", "x (1).log.gz"),
        ("x.log.gz", "x (1).log"),
    ],
)
def test_a_file_packed_or_downloaded_again_is_a_copy(caplog, original, copy):
    (message,) = warnings(caplog, f"s3a://bucket/{copy}", f"s3a://bucket/{original}")
    assert f"s3a://bucket/{copy} beside {original}; remove" in message


@pytest.mark.parametrize(
    "names",
    [
        (AWS, AWS.replace("0515", "0520")),
        (f"{AWS}.gz", f"{AWS.replace('9f8e', '9f8f')}.gz"),
        ("flows.log", "flows.log.1", "flows.log.2.gz"),  # a rotation
        ("flows.log", "flows 2.log", "flows-1.log", "flows.1.log", "flows2.log"),
        ("a.log", "b.log.gz"),
        ("copy", "copy.log", "Copy of", "photocopy.log"),
        ("(1)", "x"),
    ],
)
def test_other_names_are_no_copies(caplog, names):
    assert warnings(caplog, *(f"/logs/{name}" for name in names)) == []


def test_of_many_copies_the_first_are_named_and_all_are_counted(caplog):
    paths = [f"/logs/{n:04}.log{end}" for n in range(1200) for end in ("", ".gz")]
    (message,) = warnings(caplog, *paths)
    assert message.startswith(
        "1,200 file(s) look like copies of others, and both are counted: /logs/0000.log.gz beside 0000.log; "
    )
    assert "/logs/0002.log.gz beside 0002.log; … and 1,197 more; remove" in message


def test_the_search_for_copies_takes_no_memory_for_many_files(caplog):
    files = {path: LogFile(path, 1) for path in (f"/logs/{n:06}/{AWS}.gz" for n in range(20_000))}
    tracemalloc.start()
    try:
        warn_of_copies(files)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert not caplog.records

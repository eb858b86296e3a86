"""A file that is cut into pieces comes to what it comes to when it is read whole."""

from __future__ import annotations

import gzip
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowspark import splits
from flowspark.decode.sources import listed_sources, split_bytes
from flowspark.decode.split import REJECT_REASONS, read_split, scan_split
from flowspark.decode.survey import SURVEY_SCHEMA, Span, opening_layout, survey
from flowspark.errors import BadFile
from flowspark.files import LogFile, Piece
from flowspark.layouts import Layout
from flowspark.storage import Local
from tests import reference
from tests.logs import NODATA, V2, flow, log, write
from tests.strategies import contents, texts

COUNTED = ("lines", "header", "blank", "flows", "nodata", "skipdata", *REJECT_REASONS)
OTHER = "protocol log-status dstport new-field"
LAYOUT = tuple(V2.split())

pytestmark = pytest.mark.usefixtures("decoder")


def logged(path: Path) -> LogFile:
    return LogFile(str(path), path.stat().st_size)


def cut(file: LogFile, size: int, layout: Layout | None = None) -> list[LogFile]:
    """What the driver makes of a file that it finds too large, with ranges of some bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_RANGE", size)  # a setting, not a stand-in for anything
        ranges = splits.ranges(file)
    opening = opening_layout(file, layout)
    if opening is None or not ranges:
        return [file]
    rows = [{"path": file.path, "size": file.size, "start": start, "stop": stop} for start, stop in ranges]
    (found,) = survey([pa.RecordBatch.from_pylist(rows)])
    assert found.schema == SURVEY_SCHEMA
    spans = [Span(*list(row.values())[1:]) for row in found.to_pylist()]
    return splits.pieces(file, opening, [s._replace(layout=s.layout and tuple(s.layout)) for s in spans])


def batch_of(files: list[LogFile]) -> pa.RecordBatch:
    return pa.record_batch([pa.array([split_bytes(files)])], names=["files"])


def scanned(files: list[LogFile], layout: Layout | None) -> tuple[Counter, list[dict], list[tuple]]:
    """The flows by port and protocol, the audits, and the rejected lines of a scan."""
    flows, audits, rejects = Counter(), [], []
    for row in (row for part in scan_split(listed_sources([batch_of(files)]), layout) for row in part.to_pylist()):
        for count in row["tally"] or ():
            flows[count["dstport"], count["protocol"]] += count["flows"]
        if row["file"]:
            audits.append(row["file"])
        for reject in row["rejects"] or []:
            rejects.append((reject["line"], reject["reason"], reject["text"]))
    return flows, audits, sorted(rejects)


def assert_same(data: bytes, size: int, layout: Layout | None = None) -> list[LogFile]:
    with tempfile.TemporaryDirectory() as folder:
        file = logged(write(Path(folder) / "a.log", data))
        pieces = cut(file, size, layout)
        flows, audits, rejects = scanned(pieces, layout)
        whole_flows, (whole,), whole_rejects = scanned([file], layout)
    assert {audit["status"] for audit in audits} == {whole["status"]}
    if whole["status"] == "skipped":
        assert pieces == [file]
        return pieces
    expected = reference.read(data, list(layout) if layout else None)
    assert flows == whole_flows == expected.flows
    assert rejects == whole_rejects == expected.rejects
    added_up = {name: sum(audit[name] for audit in audits) for name in COUNTED}
    assert added_up == {name: whole[name] for name in COUNTED}
    layouts = list(dict.fromkeys(name for audit in audits for name in audit["layouts"]))
    assert layouts == whole["layouts"] == expected.layouts
    ends = [0, *(audit["stop"] for audit in audits)]
    assert ends == [*(audit["start"] for audit in audits), file.size]
    return pieces


BOM = b"\xef\xbb\xbf"
MIXED = log(flow(), "bad", "", OTHER, "6 OK 443 x", "6 OK", f" {V2}\t", flow(22), "worse", OTHER, "17 OK 53 y", "short")


@given(texts(), st.integers(1, 300))
@example(MIXED, 1)
@example(MIXED, 40)
@example(MIXED.replace(b"\n", b"\r\n"), 7)
@example(BOM + MIXED.removesuffix(b"\n"), 50)
@example(log(flow(), OTHER) + b"\r", 30)
@example(log(flow()) + OTHER.encode() + b"\r", 30)
@example(log(flow()) + OTHER.encode() + b"\r\n", 30)
@example(log(flow()) + BOM + log(flow()), 100)
@example(log(flow(), "\x1f\x8b", "\x1f\x8b x"), 10)
@example(b"\n \n\r\n" * 20 + MIXED, 9)
@example(log(flow(), "bytes action", "1 ACCEPT", V2, flow()), 60)
@example(log(flow(), "x" * 500, flow()), 20)
def test_a_file_in_pieces_counts_as_the_whole_file_does(data, size):
    assert_same(data, size)


@given(texts(), st.integers(20, 300))
@example(log("bad", flow(), "bad", header=None), 60)
@example(log("bad", "worse", "worst", header=None), 3)
@example(log("bad", "worse", V2, flow(), header=None), 3)
def test_a_file_without_a_header_in_pieces_counts_as_the_whole_file_does(data, size):
    assert_same(data, size, LAYOUT)


def test_a_file_in_pieces_counts_as_the_whole_file_does_under_a_given_layout_that_repeats_a_field():
    layout = ("dstport", "new-field", "log-status", "dstport", "protocol", "log-status", "new-field")
    lines = ["443 a OK x 6 odd b", "bad", "53 - NODATA 1 17 OK -", "y a OK 22 6 OK b", *["53 a OK 1 17 - b"] * 5]
    data = log(*lines, header=None)
    assert len(assert_same(data, 30, layout)) > 3


@given(contents(), st.integers(20, 300))
def test_gzip_is_never_cut(data, size):
    if data.startswith(b"\x1f\x8b"):
        assert len(assert_same(data, size)) == 1


def test_a_piece_knows_its_first_line_and_its_layout(tmp_path):
    head, tail = log(flow(), "bad", OTHER), log("6 OK 443 x", "17 OK 53 y", header=None)
    pieces = cut(logged(write(tmp_path / "a.log", head + tail)), len(head))
    assert [file.piece for file in pieces] == [
        Piece(0, len(head), 1, LAYOUT),
        Piece(len(head), len(head + tail), 5, tuple(OTHER.split())),
    ]


def test_a_file_has_a_piece_for_each_of_its_ranges():
    data = log(*[flow(), NODATA] * 50, header=None)
    assert len(assert_same(data, 100)) == -(-len(data) // 100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n" * 99,
        log(flow()).removesuffix(b"\n"),
        b"hello world\n" * 9,
        gzip.compress(MIXED),
        log(flow()) + b"x" * ((1 << 20) + 1) + b"\n" + log(flow()),
        b"x" * ((1 << 20) + 1) + b"\n" + log(flow()),
    ],
)
def test_what_is_odd_is_not_cut(tmp_path, data):
    file = logged(write(tmp_path / "a.log", data))
    assert cut(file, 1 << 19 if len(data) > 1 << 20 else 200) == [file]


def test_a_line_of_one_mebibyte_is_cut_around():
    long = b"x" * (1 << 20) + b"\r\n"
    data = log(flow()) + long + log(flow(1), "bad")
    assert [file.piece.first_line for file in assert_same(data, 1 << 19)] == [1, 4]


def test_a_file_of_many_layouts_is_not_cut(tmp_path):
    def headers(first: int, stop: int) -> list[str]:
        return [f"dstport protocol x{number}" for number in range(first, stop)]

    few = logged(write(tmp_path / "few.log", log(*headers(0, 998), header=None)))
    assert len(cut(few, 500)) > 30
    many = logged(write(tmp_path / "many.log", log(*headers(0, 1200), header=None)))
    assert cut(many, 500) == [many]
    _, (audit,), _ = scanned([many], None)
    assert audit["status"] == "skipped"
    one = logged(write(tmp_path / "one.log", log(*headers(0, 1) * 3000, header=None)))
    assert len(cut(one, 5000)) > 5


def test_rule_9_each_piece_stores_the_first_100_000_of_its_rejected_lines(tmp_path):
    file = logged(write(tmp_path / "a.log", log(flow(), *["bad"] * 250_000)))
    _, audits, rejects = scanned(cut(file, 900_000), None)
    first = -(-(900_000 - len(log(flow()))) // len("bad\n"))  # lines that start before the cut
    assert [audit["field_count"] for audit in audits] == [first, 250_000 - first]
    assert [audit["rejects_stored"] for audit in audits] == [100_000, 250_000 - first]
    assert [line for line, _, _ in rejects] == [*range(3, 100_003), *range(first + 3, 250_003)]


def test_a_file_that_was_changed_meanwhile_is_not_cut(tmp_path):
    path = write(tmp_path / "a.log", MIXED)
    for size in (len(MIXED) - 1, len(MIXED) + 1):
        file = LogFile(str(path), size)
        assert cut(file, 50) == [file]


def test_a_piece_of_a_file_that_was_changed_since_is_bad_and_never_skipped(tmp_path):
    path = write(tmp_path / "a.log", MIXED)
    pieces = cut(logged(path), 150)
    write(path, MIXED + b"x")
    _, audits, _ = scanned(pieces, None)
    assert [audit["status"] for audit in audits] == ["read"] * (len(pieces) - 1) + ["skipped"]
    told = f"was changed after it was listed: it had {len(MIXED)} bytes, and now has {len(MIXED) + 1}; run again"
    assert audits[-1]["error"] == told
    with pytest.raises(BadFile, match=r"a\.log: was changed"):
        list(read_split(listed_sources([batch_of(pieces)]), None, ["line"], skip_bad_files=True))


def test_records_in_pieces_have_the_lines_of_the_whole_file(tmp_path):
    file = logged(write(tmp_path / "a.log", MIXED))

    def rows(files: list[LogFile]) -> list[dict]:
        batches = read_split(listed_sources([batch_of(files)]), None, ["line", "dstport", "rejected"], skip_bad_files=True)
        return sorted((row for batch in batches for row in batch.to_pylist()), key=lambda row: row["line"])

    assert len(cut(file, 60)) > 3
    assert rows(cut(file, 60)) == rows([file])


def test_the_local_storage_gives_some_bytes_of_a_file(tmp_path):
    path = str(write(tmp_path / "a.log", b"0123456789"))
    for span, expected in [((0,), b"0123456789"), ((3,), b"3456789"), ((3, 5), b"34"), ((8, 20), b"89"), ((4, 4), b"")]:
        with Local().open(path, *span) as part:
            assert part.read() == expected


MB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "cores", "expected"),
    [
        ([10_000], 2, [10_000]),
        ([10_000], 1, []),
        ([256], 64, []),
        ([257], 64, [257]),
        ([300] * 3, 2, [300] * 3),  # one core would read two of them, a third more than its share
        ([300] * 7, 2, []),  # one core has four of them, a seventh more than its share
        ([300] * 8, 2, []),
        ([10_000, *[300] * 50], 4, [10_000]),
        ([10_000, *[300] * 100], 4, []),
    ],
)
def test_a_file_is_too_large_when_it_would_keep_one_core_busy_alone(sizes, cores, expected):
    files = [LogFile(f"/logs/{number}.log", size * MB) for number, size in enumerate(sizes)]
    assert [file.size // MB for file in splits.too_large(files, cores)] == expected


def test_the_pieces_of_a_file_fill_all_cores_alike():
    file = LogFile("/logs/a.log", 10_000 * MB)
    spans = [Span(start, stop, 1, None) for start, stop in splits.ranges(file)]
    packed = splits.pack(splits.pieces(file, LAYOUT, spans), cores=16)
    assert len(packed) % 16 == 0
    loads = [sum(part.piece.stop - part.piece.start for part in split) for split in packed]
    assert max(loads) - min(loads) <= 32 * MB
    assert sum(loads) == file.size


def test_pieces_travel_as_they_are():
    files = [LogFile("/a", 9, "2023-11-14T22:13:20Z", Piece(3, 9, 2, LAYOUT)), LogFile("/b", 1)]
    sources = list(listed_sources([batch_of(files)]))
    assert [LogFile(s.path, s.size, s.modified, s.piece) for s in sources] == files

"""The decoder, compiled and plain, against the obvious reference."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowspark.decode import blocks, kernel
from flowspark.decode.arrays import NO_PORT, NO_PROTOCOL, PORTS, Arrays
from flowspark.decode.batches import record_batch, reject_arrays
from flowspark.decode.reader import Audit, read_records
from flowspark.decode.sources import Source, listed_sources, split_bytes
from flowspark.decode.split import read_split, scan_split
from flowspark.decode.tally import Tally
from flowspark.errors import VANISHED, BadFile, Gone
from flowspark.fields import FIELDS, column_name
from flowspark.files import LogFile
from tests import reference
from tests.logs import NODATA, V2, flow, log
from tests.strategies import contents, texts

READ_ALL = tuple(FIELDS)

pytestmark = pytest.mark.usefixtures("decoder")


def decode(data: bytes, given_layout: list[str] | None = None, columns: tuple[str, ...] = ()) -> reference.Reading:
    """What the decoder makes of a file, in the reference's terms."""
    arrays = Arrays(kernel.decoder())
    out, audit, tally = reference.Reading(), Audit(), Tally(arrays.decoder)
    names = ["line", "unknown_fields", *(column_name(name) for name in columns)]
    layout = tuple(given_layout) if given_layout else None
    for part in read_records(io.BytesIO(data), audit, arrays, layout, frozenset(columns)):
        tally.add(part.keys)
        out.rejects += zip(*(column.to_pylist() for column in reject_arrays([part.rejects()])), strict=True)
        if columns:
            out.records += record_batch(part, "f", names).to_pylist()
    out.flows = counted(tally)
    out.lines, out.header, out.blank = audit.lines, audit.header, audit.blank
    out.nodata, out.skipdata = audit.nodata, audit.skipdata
    out.layouts = [" ".join(names) for names in audit.layouts]
    return out


def counted(tally: Tally) -> Counter:
    """The flows of each dstport and protocol."""
    flows = Counter()
    for keys, counts in tally.counts():
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            protocol, port = divmod(key, PORTS)
            flows[None if port == NO_PORT else port, None if protocol == NO_PROTOCOL else protocol] += count
    return flows


def assert_same(data: bytes, columns: tuple[str, ...] = ()) -> None:
    try:
        expected = reference.read(data, columns=columns)
    except reference.Bad:
        with pytest.raises(BadFile):
            decode(data, columns=columns)
        return
    found = decode(data, columns=columns)
    assert found.rejects == expected.rejects
    assert found.flows == expected.flows
    assert found.audit == expected.audit
    assert found.layouts == expected.layouts
    if columns:
        assert [clean(row) for row in found.records] == [clean(row) for row in expected.records]


def clean(row: dict) -> dict:
    """A record without its missing values, under the names of the columns."""
    return {column_name(name): value for name, value in row.items() if value is not None}


@given(contents())
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb")
@example(b"\n\n")
@example(b"\x1f\x8b")
@example(V2.encode())
@example(V2.encode() + b"\r")
@example(log(flow(), V2, flow(), f" {V2}\t", "x", V2, V2, flow(22), end="\r\n") + V2.encode())
@example(log(flow(), V2, "protocol log-status dstport", "protocol log-status dstport", "6 OK 443") + V2.encode() + b"\r")
def test_any_file_decodes_as_the_reference_reads_it(data):
    assert_same(data)


@given(contents())
def test_any_file_decodes_as_the_reference_reads_it_with_all_columns(data):
    assert_same(data, READ_ALL)


@given(texts(), st.integers(3, 80))
def test_a_file_decodes_the_same_whatever_the_size_of_its_blocks(data, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK", size)  # a setting of the decoder's own, not a stand-in for anything
        assert_same(data, READ_ALL)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_many_blocks_counts_as_the_reference_does(seed):
    random = np.random.default_rng(seed)
    lines = [
        flow(int(port), int(protocol))
        for port, protocol in zip(random.integers(0, 65536, 30_000), random.choice([6, 17, 1], 30_000), strict=True)
    ]
    for place in random.integers(0, len(lines), 300):
        lines[place] = random.choice([NODATA, "", "short", flow("x"), flow(status="odd"), flow(70000), flow(443, " 6 ")])
    assert_same(log(*lines))
    assert_same(gzip.compress(log(*lines, end="\r\n")))


def test_the_tally_is_the_same_however_it_is_fed(decoder):
    random = np.random.default_rng(1)
    keys, small = (random.integers(0, size * PORTS, 50_000).astype(np.int32) for size in (257, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowspark.decode.tally._WAITING", 7000)
        patch.setattr("flowspark.decode.tally._MOST", 80_000)  # the counts of one table: these are more
        total, other = Tally(decoder), Tally(decoder)
        for part in np.array_split(keys, 9):
            total.add(part)
        other.add(small)
        total.merge(other)
        found = Counter()
        for some, counts in total.counts():
            assert sum(counts.tolist()) <= 80_000
            found.update(dict(zip(some.tolist(), counts.tolist(), strict=True)))
    assert found == Counter([*keys.tolist(), *small.tolist()])


# By hand: the first of the two columns counts everywhere
REPEATED = "log-status dstport new-field protocol bytes start dstport log-status new-field bytes end"
REPEATED_LINES = (
    REPEATED,
    "OK 443 a 6 10 1 x NODATA b many 7",  # what stands in the second columns is not looked at
    "NODATA - - - - - 53 OK b 1 7",
    "OK 53 - 17 - 1 - OK b 1 7",
    "OK 22 a 6 10 1",  # six values where eleven belong
    "ok 22 a 6 10 1 22 OK a 10 7",
    "OK 22 a x 10 1 22 OK a 10 7",
)


@pytest.mark.parametrize("given_layout", [None, REPEATED.split()])
def test_rule_12_of_a_field_that_a_layout_repeats_the_first_column_counts(given_layout):
    data = log(*REPEATED_LINES[1:], header=None if given_layout else REPEATED)
    found = decode(data, given_layout, ("dstport", "log-status", "bytes"))
    first = 1 if given_layout else 2
    assert found.flows == {(443, 6): 1, (53, 17): 1}
    assert found.nodata == 1
    assert found.rejects == [
        (first + 3, "field_count", "OK 22 a 6 10 1"),
        (first + 4, "bad_log_status", "ok 22 a 6 10 1 22 OK a 10 7"),
        (first + 5, "bad_number", "OK 22 a x 10 1 22 OK a 10 7"),
    ]
    assert found.layouts == [REPEATED]
    rows = [tuple(row[name] for name in ("dstport", "log_status", "bytes", "unknown_fields")) for row in found.records]
    assert rows == [
        (443, "OK", 10, [("new-field", "a")]),
        (None, "NODATA", None, [("new-field", None)]),
        (53, "OK", None, [("new-field", None)]),
    ]


def test_rule_12_a_header_that_repeats_a_field_starts_a_new_layout_in_mid_file():
    other = "dstport protocol action"
    found = decode(log("1 6 ACCEPT", REPEATED, "OK 443 a 6 1 2 80 OK b 3 7", other, "2 6 x", header=other))
    assert (found.header, found.layouts, found.rejects) == (3, [other, REPEATED], [])
    assert found.flows == {(1, 6): 1, (443, 6): 1, (2, 6): 1}


def test_rule_12_a_known_field_three_times_is_a_line_and_not_a_header():
    assert decode(log(flow(), "start start start")).rejects == [(3, "field_count", "start start start")]


LONGEST = 1 << 20


def long_line(length: int) -> bytes:
    return b"x" * length


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_one_mebibyte_is_a_line(end):
    found = decode(log(flow()) + long_line(LONGEST) + end)
    assert found.rejects == [(3, "field_count", "x" * 1000)]


@pytest.mark.parametrize(
    "data",
    [
        log(flow()) + long_line(LONGEST + 1) + b"\n",
        long_line(LONGEST + 1),
        log(flow()) * 9000 + long_line(LONGEST) + b"\r",
    ],
)
def test_rule_10_a_longer_line_is_not_a_flow_log(data):
    with pytest.raises(BadFile, match="longer than 1 MiB"):
        decode(data)


@pytest.mark.parametrize(("link", "error"), [(True, "a link to a file that is not there"), (False, "vanished between")])
def test_rule_10_a_link_to_nothing_is_not_a_file_that_vanished(tmp_path, link, error):
    path = tmp_path / "a.log"
    if link:
        path.symlink_to(tmp_path / "nothing")
    batch = pa.record_batch([pa.array([split_bytes([LogFile(str(path), 0)])])], names=["files"])
    (found,) = (
        row["file"] for part in scan_split(listed_sources([batch]), None) for row in part.to_pylist() if row["file"]
    )
    assert found["status"] == "skipped"
    assert found["error"].startswith(error)


@pytest.mark.parametrize("data", [log(flow()), gzip.compress(log(flow()))])
def test_rule_10_a_file_that_was_changed_after_it_was_listed_is_left_out(tmp_path, data):
    path = tmp_path / "a.log"
    path.write_bytes(data)
    listed = [LogFile(str(path), size) for size in (len(data), len(data) - 1, len(data) + 1)]
    batch = pa.record_batch([pa.array([split_bytes(listed)])], names=["files"])
    found = [row["file"] for part in scan_split(listed_sources([batch]), None) for row in part.to_pylist() if row["file"]]
    assert [row["status"] for row in found] == ["read", "skipped", "skipped"]
    told = f"was changed after it was listed: it had {len(data) - 1} bytes, and now has {len(data)}; run again"
    assert found[1]["error"] == told


def test_the_decoder_imports_no_spark():
    modules = "flowspark.decode.split, flowspark.splits, flowspark.layouts, flowspark.lookup, flowspark.settings"
    code = f"import sys, {modules}; assert 'pyspark' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_scan_imports_no_pandas():
    data = log(flow(), "odd", flow(443, 999))
    code = f"""
import io, sys
from flowspark.decode.sources import Source
from flowspark.decode.split import scan_split
source = Source("a", {len(data)}, None, lambda: io.BytesIO({data!r}))
rows = [row for batch in scan_split([source], None) for row in batch.to_pylist()]
assert [reject["line"] for row in rows for reject in row["rejects"] or []] == [3, 4], rows
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_4096_rows_of_a_scan_which_spark_reads_at_once_are_some_megabytes():
    data = log(*(flow(port) for port in range(1000)), *["bad " * 1000] * 100)
    source = Source("a", len(data), None, lambda: io.BytesIO(data))
    rows = [row for part in scan_split([source], None) for row in part.to_pylist()]
    assert sum(len(row["tally"] or ()) for row in rows) == 1000
    assert sum(len(row["rejects"] or ()) for row in rows) == 100
    assert max(len(str(row)) for row in rows if not row["file"]) < 10_000


def test_rule_9_the_text_of_a_rejected_line_is_kept_character_by_character():
    odd = 'a "b" \\n \0 \x1b {} \u00e9 \U0001f600 \u2028 end'
    data = log(flow()) + odd.encode() + b"\n\xff\n"
    source = Source("a", len(data), None, lambda: io.BytesIO(data))
    rows = (row for part in scan_split([source], None) for row in part.to_pylist())
    rejects = [reject for row in rows for reject in row["rejects"] or []]
    assert [(row["line"], row["text"]) for row in rejects] == [(3, odd), (4, "\ufffd")]


def test_strings_that_are_no_utf8_are_read_with_replacement_characters():
    data = b"dstport protocol action\n1 6 \xff\n2 6 \xc3\xa9\n"
    part = next(iter(read_records(io.BytesIO(data), Audit(), Arrays(kernel.decoder()))))
    assert record_batch(part, "f", ["action"]).column(0) == pa.array(["\ufffd", "é"])


def audits_and_rejects(data: bytes) -> tuple[dict, list[dict]]:
    """The audit of a file, and its rejected lines as they are stored."""
    source = Source("a", len(data), None, lambda: io.BytesIO(data))
    rows = [row for part in scan_split([source], None) for row in part.to_pylist()]
    (audit,) = (row["file"] for row in rows if row["file"])
    return audit, [reject for row in rows for reject in row["rejects"] or []]


def test_rule_9_a_gzip_of_four_kilobytes_can_hold_two_million_bad_lines_and_the_first_100_000_are_stored(decoder):
    bad = 2_000_000 if decoder.name == "compiled" else 200_000  # plain Python takes ten seconds for two million
    bomb = gzip.compress(log(flow()) + b"x\n" * bad)
    assert len(bomb) < 5000
    audit, rejects = audits_and_rejects(bomb)
    assert (audit["lines"], audit["flows"], audit["field_count"]) == (bad + 2, 1, bad)
    assert audit["rejects_stored"] == len(rejects) == 100_000
    assert [rejects[place]["line"] for place in (0, 1, -1)] == [3, 4, 100_002]


@pytest.mark.parametrize(("bad", "expected"), [(99_999, 99_999), (100_000, 100_000), (100_001, 100_000)])
def test_rule_9_the_audit_tells_how_many_rejected_lines_are_stored(bad, expected):
    audit, rejects = audits_and_rejects(log(*["443 x"] * bad, "443 6", header="dstport protocol"))
    assert (audit["bad_number"], audit["rejects_stored"], len(rejects)) == (bad, expected, expected)


def test_rule_9_the_audit_of_a_bad_file_tells_how_many_of_its_rejected_lines_had_been_stored():
    audit, rejects = audits_and_rejects(gzip.compress(log(flow()) + b"bad\n" * 300_000)[:-4])
    assert audit["status"] == "skipped"
    assert audit["lines"] == 0
    assert audit["rejects_stored"] == len(rejects) > 0


def test_rule_9_rejected_lines_that_are_rows_have_no_limit():
    data = log(flow(), *["bad"] * 100_001)
    source = Source("a", len(data), None, lambda: io.BytesIO(data))
    batches = list(read_split([source], None, ["line", "rejected"], skip_bad_files=False))
    assert sum(batch.column("rejected").is_valid().to_pylist().count(True) for batch in batches) == 100_001


def layouts(count: int) -> bytes:
    return b"".join(b"dstport protocol x%d\n443 6 -\n" % number for number in range(count))


def test_rule_10_a_file_of_more_than_a_thousand_layouts_is_not_a_flow_log():
    audit, _ = audits_and_rejects(layouts(1000) * 2)
    assert (audit["status"], audit["header"], audit["flows"], len(audit["layouts"])) == ("read", 2000, 2000, 1000)
    audit, _ = audits_and_rejects(layouts(1001))
    assert (audit["status"], audit["layouts"]) == ("skipped", [])
    assert audit["error"].startswith("not a flow log: it has more than 1,000 different header lines")


def test_rule_10_a_layout_of_some_thousand_characters_is_that_of_no_flow_log():
    long = b"dstport protocol x%s\n443 6 -\n"
    assert audits_and_rejects(long % (b"y" * 16_000))[0]["flows"] == 1
    audit, _ = audits_and_rejects(long % (b"y" * 17_000))
    assert audit["error"].startswith("not a flow log: its layout 'dstport protocol xyyy")


def test_rule_10_a_file_whose_layouts_are_too_long_in_all_is_no_flow_log():
    """A task keeps the audits of many files: hostile headers must not fill its memory."""
    line = b"dstport protocol x%s\n443 6 -\n"
    headers = [line % (str(n).encode() * 4_000)[:8_000] for n in range(10, 60)]
    assert audits_and_rejects(b"".join(headers[:30]))[0]["flows"] == 30
    audit, _ = audits_and_rejects(b"".join(headers))
    assert audit["error"].startswith("not a flow log: its header lines are far too long in all")


def test_rule_12_a_header_before_each_record_is_read_in_one_go():
    some = log("443 6 OK", "x", "", "53 17 OK", "443 6 NODATA", header="dstport protocol log-status", end="\r\n")
    assert_same(some * 50, ("dstport", "protocol"))
    audit = Audit()
    segments = sum(1 for _ in read_records(io.BytesIO(some * 5_000), audit, Arrays(kernel.decoder())))
    assert audit.header == 5_000
    assert segments < 10, "a segment for each header would take half a minute"


class Failing(io.RawIOBase):
    """A file that fails after its first bytes."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self._data, self._error = io.BytesIO(data), error

    def readable(self) -> bool:
        return True

    def readinto(self, memory) -> int:
        count = self._data.readinto(memory)
        if not count:
            raise self._error
        return count


def test_a_local_file_that_is_gone_is_skipped_on_one_machine_and_fails_the_query_on_several():
    def gone():
        raise Gone(VANISHED)

    source = Source("/logs/a.log", 999, None, gone)
    assert list(read_split([source], None, ["line"], skip_bad_files=True)) == []
    with pytest.raises(BadFile, match=r"^/logs/a\.log: vanished"):
        list(read_split([source], None, ["line"], skip_bad_files=True, one_machine=False))
    elsewhere = Source("s3://bucket/a.log", 999, None, gone)
    assert list(read_split([elsewhere], None, ["line"], skip_bad_files=True, one_machine=False)) == []


@pytest.mark.parametrize("error", [OSError("reset"), pa.ArrowInvalid("reset"), pa.ArrowNotImplementedError("reset")])
@pytest.mark.parametrize("skip", [True, False])
def test_a_storage_that_fails_fails_the_query_and_the_error_names_the_file(error, skip):
    source = Source("/logs/a.log", 999, None, lambda: Failing(log(flow()), error))
    with pytest.raises(BadFile, match=r"^/logs/a\.log: cannot be read: reset"):
        list(read_split([source], None, ["line"], skip_bad_files=skip))
    (audit,) = (row["file"] for part in scan_split([source], None) for row in part.to_pylist() if row["file"])
    assert (audit["status"], audit["error"]) == ("skipped", "cannot be read: reset")

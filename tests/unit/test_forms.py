"""Files that are not text logs: each is told by what it is, whatever else is wrong with it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from flowspark.decode import kernel
from flowspark.decode.arrays import Arrays
from flowspark.decode.reader import Audit, read_records
from flowspark.decode.survey import opening_layout
from flowspark.errors import BadFile
from flowspark.files import LogFile
from flowspark.forms import form_of
from flowspark.layouts import parse_layout
from tests.logs import V2, flow, log, write

LOG = log(flow(), flow(53, 17))
TABLE = pa.table({"dstport": [443, 53], "protocol": [6, 17], "log_status": ["OK", "OK"]})


def zipped(name: str, content: bytes = LOG) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return memory.getvalue()


def tarred(kind: int) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=kind) as archive:
        entry = tarfile.TarInfo("logs/a.log")
        entry.size = len(LOG)
        archive.addfile(entry, io.BytesIO(LOG))
    return memory.getvalue()


def arrow(module: object) -> bytes:
    memory = io.BytesIO()
    module.write_table(TABLE, memory)
    return memory.getvalue()


UNPACK = "unpack it, or leave it out of the input"
LEAVE_OUT = "leave it out of the input"
TO_UTF8 = "save it as UTF-8, or leave it out of the input"
SUBSCRIPTION = b'{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"' + flow().encode() + b'"}]}'
FORMS = {
    "zip": (zipped("a.log"), "a zip file", UNPACK),
    "zip of CSV": (zipped("a.csv", b"dstport,protocol\n443,6\n"), "a zip file", UNPACK),
    "empty zip": (b"PK\x05\x06" + bytes(18), "a zip file", UNPACK),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel file (xls) or another old Office file", LEAVE_OUT),
    "bzip2": (bz2.compress(LOG), "a bzip2 file", UNPACK),
    "empty bzip2": (bz2.compress(b""), "a bzip2 file", UNPACK),
    "xz": (lzma.compress(LOG), "an xz file", UNPACK),
    "zstd": (pa.Codec("zstd").compress(LOG, asbytes=True), "a zstd file", UNPACK),
    "lz4": (pa.Codec("lz4").compress(LOG, asbytes=True), "an lz4 file", UNPACK),
    "snappy": (b"\xff\x06\x00\x00sNaPpY" + bytes(20), "a snappy file", UNPACK),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(20), "a 7z archive", UNPACK),
    "tar": (tarred(tarfile.USTAR_FORMAT), "a tar archive", UNPACK),
    "GNU tar": (tarred(tarfile.GNU_FORMAT), "a tar archive", UNPACK),
    "Parquet": (arrow(parquet), "a Parquet file", LEAVE_OUT),
    "ORC": (arrow(orc), "an ORC file", LEAVE_OUT),
    "Avro": (b'Obj\x01\x04\x14avro.codec\x08null\x16avro.schema\x12{"type":1}', "an Avro file", LEAVE_OUT),
    "UTF-16": (LOG.decode().encode("utf-16"), "UTF-16 text", TO_UTF8),
    "UTF-16, no BOM": (LOG.decode().encode("utf-16-le"), "UTF-16 text", TO_UTF8),
    "UTF-16, big end first": (LOG.decode().encode("utf-16-be"), "UTF-16 text", TO_UTF8),
    "UTF-32": (LOG.decode().encode("utf-32"), "UTF-32 text", TO_UTF8),
    "UTF-32, big end first": (LOG.decode().encode("utf-32-be"), "UTF-32 text", TO_UTF8),
    "subscription": (SUBSCRIPTION, "JSON of CloudWatch or Firehose", LEAVE_OUT),
    "glued JSON": (b'{"message":"%b"}' % flow().encode() * 9, "JSON of CloudWatch or Firehose", LEAVE_OUT),
    "JSON in lines": (b'\n{ "dstport": 443 }\n{ "dstport": 53 }\n', "JSON", LEAVE_OUT),
    "pretty JSON": (b'\xef\xbb\xbf[\r\n  {\r\n    "dstport": 443\r\n  }\r\n]\r\n', "JSON", LEAVE_OUT),
    "a long line of JSON": (b'{"Records": [%b]}' % (b"1, " * (1 << 20)), "JSON", LEAVE_OUT),
    "HTML": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "HTML or XML", LEAVE_OUT),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "HTML or XML", LEAVE_OUT),
    "a long zip": (zipped("a.log") + b"\x01" * (3 << 20), "a zip file", UNPACK),
}
LAYOUTS = [None, "v2", "log-status"]


def error(content: bytes, layout: str | None = None) -> str:
    """What is said of a file that cannot be read."""
    given = parse_layout(layout) if layout else None
    with pytest.raises(BadFile) as caught:
        list(read_records(io.BytesIO(content), Audit(), Arrays(kernel.decoder()), given))
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("content", "name", "remedy"), FORMS.values(), ids=FORMS)
def test_rule_10_a_file_that_is_not_text_is_called_by_its_name_under_any_layout(content, name, remedy, layout):
    reads = "and flowspark reads text logs, plain or gzip"
    assert error(content, layout) == f"this is {name}, {reads}; {remedy}"
    assert error(gzip.compress(content), layout) == f"this is {name} inside gzip, {reads}; {remedy}"


def test_rule_10_gzip_inside_gzip_is_told():
    said = error(gzip.compress(gzip.compress(LOG)))
    assert said == f"this is a gzip file inside gzip, and flowspark reads text logs, plain or gzip; {UNPACK}"


def test_rule_10_the_form_is_told_of_a_file_that_was_changed_since_it_was_listed():
    with pytest.raises(BadFile, match=r"^this is a zip file"):
        list(read_records(io.BytesIO(FORMS["zip"][0]), Audit(), Arrays(kernel.decoder()), size=1))


def test_a_file_that_is_not_text_is_not_cut(tmp_path):
    for number, (content, _, _) in enumerate(FORMS.values()):
        path = write(tmp_path / str(number), content)
        assert opening_layout(LogFile(str(path), len(content)), parse_layout("v2")) is None


TIMED = b"2026-11-22T05:15:04.000Z " + flow().encode() + b"\n"
EXPORT = (
    "this is a CloudWatch export with a time in front of each record, and flowspark reads text logs, plain or gzip; "
    "remove the times, or leave it out of the input"
)
CSV = f"this is CSV with commas, semicolons, bars or quotes, and flowspark reads text logs, plain or gzip; {LEAVE_OUT}"


@pytest.mark.parametrize("layout", [None, "v2"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TIMED, EXPORT),
        (b"\n" + TIMED.replace(b".000Z", b"+00:00"), EXPORT),
        (V2.replace(" ", ",").encode() + b"\n" + flow().replace(" ", ",").encode(), CSV),
        (flow().replace(" ", ",").encode(), CSV),
        (flow().replace(" ", ";").encode(), CSV),
        (b'"2","123456789010","eni-0a"\n', CSV),
        (b'"%b"\n' % flow().encode(), CSV),
        (b"timestamp,message\n1700000000000,%b\n" % flow("x").encode(), CSV),
        (b"1700000000000,%b\n" % flow("x").encode(), CSV),
        (V2.replace(" ", "|").encode() + b"\n", CSV),
        (
            b"<Error><Code>AccessDenied</Code></Error>",
            "this is HTML or XML, and flowspark reads text logs, plain or gzip; " + LEAVE_OUT,
        ),
    ],
)
def test_rule_10_a_text_without_a_record_is_called_what_its_first_line_looks_like(content, expected, layout):
    assert error(content, layout) == expected
    assert error(gzip.compress(content), layout) == expected


def test_an_export_can_be_read_with_a_layout_that_names_the_time():
    audit = Audit()
    list(read_records(io.BytesIO(TIMED * 3), audit, Arrays(kernel.decoder()), parse_layout(f"time {V2}")))
    assert (audit.flows, audit.reasons.total()) == (3, 0)


@pytest.mark.parametrize(
    "first",
    [
        "PAR1 and more",
        "ORC",
        "ORCHESTRATOR x",
        "BZh9 x",
        "PK",
        "Obj",
        "7z",
        "{x}",
        "[x]",
        "<unknown>",
        "2026-11-22T05:15:04Z x",
        "a,b",
        '"a","b"',
        "\x00 \x00",
        "4\x00 \x00OK",
        "é",
    ],
)
def test_a_text_that_begins_with_the_letters_of_a_form_or_an_odd_line_is_read(first):
    audit = Audit()
    list(
        read_records(
            io.BytesIO(log(first, flow(), flow(), header=None)), audit, Arrays(kernel.decoder()), parse_layout("v2")
        )
    )
    assert (audit.flows, audit.reasons.total()) == (2, 1)


def test_the_sample_logs_and_an_empty_file_are_in_no_other_form():
    files = [path for path in (Path(__file__).parent.parent / "sample" / "logs").rglob("*") if path.is_file()]
    assert len(files) > 1
    for content in [b"", *(path.read_bytes() for path in files)]:
        text = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        assert form_of(text) is None


HINT = "give --layout for files without a header, or leave the file out of the input"


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        ("443 6 OK", HINT),
        (flow() + " vpc-0a", HINT),
        ("OK", HINT),
        ("- - NODATA", HINT),
        ("10.0.0.1 fe80::1 ACCEPT", HINT),
        ("version account_id interface_id", HINT),
        ("DSTPORT PROTOCOL", HINT),
        ("hello world", "in no default format of AWS; leave the file out of the input"),
        ("Permission Check Successful", "in no default format of AWS; leave the file out of the input"),
        ("Copyright 2026 of somebody", "in no default format of AWS; leave the file out of the input"),
        ('\x02 "443,6"', "in no default format of AWS; leave the file out of the input"),
        ("Rar!\x1a\x07,\x01", "in no default format of AWS; leave the file out of the input"),
        ("443 6 \x01\x02", "in no default format of AWS; leave the file out of the input"),
    ],
)
def test_rule_10_a_layout_is_proposed_only_for_lines_that_look_like_records(line, ending):
    said = error(line.encode() + b"\n")
    assert said.startswith("no layout: the file has no header, and its first line (")
    assert said.endswith(ending)


def test_rule_10_the_right_layout_is_asked_for_only_where_lines_look_like_records():
    what = "not a flow log: it has no header, and not one of its lines is a record of the layout 'dstport protocol'; "
    assert error(b"443 6 OK\n", "dstport protocol") == what + "give the right --layout, or leave the file out of the input"
    assert error(b"hello\n", "dstport protocol") == what + "leave the file out of the input"

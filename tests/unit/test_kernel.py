"""The decoder's four functions, compiled and plain, against values worked out by hand; and which decoder is chosen."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowspark.connect import package_zip
from flowspark.decode import kernel
from flowspark.decode.arrays import PORTS, PROTOCOLS, Arrays, Decoder
from flowspark.decode.blocks import Block
from flowspark.decode.rules import PYTHON, REASONS
from flowspark.decode.sources import Source
from flowspark.decode.split import scan_split
from flowspark.layouts import Layout
from tests.s3_server import ROOT


def arrays_of(decoder: Decoder, data: bytes, *, open_end: bool = False, **sizes: int) -> Arrays:
    """A task's arrays with a block, whose values and lines are found."""
    arrays = Arrays(decoder, **sizes)
    arrays.memory[: len(data)] = data
    arrays.memory[len(data) : len(data) + 64] = b" \n\r9a" * 12 + b"9999"  # what stands after a block does not matter
    arrays.take(Block(0, len(data), open_end))
    return arrays


def found(arrays: Arrays) -> tuple[list[int], list[int], list[int]]:
    """The ends of the values, the line feeds, and the first values of the lines."""
    feeds, firsts = arrays.feeds[: arrays.count + 1].tolist(), arrays.firsts[: arrays.count + 1].tolist()
    return arrays.ends[: firsts[-1]].tolist(), feeds, firsts


@pytest.mark.parametrize(
    ("data", "ends", "feeds", "firsts"),
    [
        (b"\n", [], [-1, 0], [0, 0]),
        (b"2 443  6\n17 1\n", [1, 5, 8, 11, 13], [-1, 8, 13], [0, 3, 5]),
        (b"\ta \t b\t\n \n\nc\n", [2, 6, 12], [-1, 7, 9, 10, 12], [0, 2, 2, 2, 3]),
        (b"a b\r\n\r\nc\r\n", [1, 3, 8], [-1, 4, 6, 9], [0, 2, 2, 3]),
        (b"a\rb \r c\r\r\n", [3, 5, 8], [-1, 9], [0, 3]),  # only the CR right before an LF is a line's end
        (b"a\x0b\x00b\xc2\xa0c\n", [7], [-1, 7], [0, 1]),  # no other byte stands between values
        (b"x" * 63 + b" " + b"y" * 63 + b"\n", [63, 127], [-1, 127], [0, 2]),
        (b"x" * 62 + b"\r\n" + b"y" * 63 + b"\r\nz\n", [62, 127, 130], [-1, 63, 128, 130], [0, 1, 2, 3]),
        (b"x" * 63 + b"\r\ny\n", [63, 66], [-1, 64, 66], [0, 1, 2]),
        (b"x" * 63 + b"\ry\n", [65], [-1, 65], [0, 1]),
        (b"a " * 100 + b"\n", list(range(1, 200, 2)), [-1, 200], [0, 100]),
    ],
)
def test_where_values_and_lines_end(decoder, data, ends, feeds, firsts):
    assert found(arrays_of(decoder, data)) == (ends, feeds, firsts)


@pytest.mark.parametrize("length", [1, 61, 62, 63, 64, 65, 127])
def test_a_cr_that_no_line_end_follows_in_the_file_belongs_to_the_value(decoder, length):
    line = b"x" * length + b"\r\n"
    assert found(arrays_of(decoder, line)) == ([length], [-1, length + 1], [0, 1])
    assert found(arrays_of(decoder, line, open_end=True)) == ([length + 1], [-1, length + 1], [0, 1])
    before = arrays_of(decoder, b"a\r\n" + line, open_end=True)
    assert found(before) == ([1, length + 4], [-1, 2, length + 4], [0, 1, 2])


LAYOUT = ("bytes", "log-status", "dstport", "protocol", "action")


def evaluated(decoder: Decoder, text: bytes, layout: Layout = LAYOUT) -> list[object]:
    """What each line is: its numbers as (dstport, protocol, bytes), or the reason why it is rejected."""
    arrays = arrays_of(decoder, text)
    arrays.use(layout, frozenset(["bytes"]))
    line, work = 0, arrays.work
    while line < arrays.count:
        line = arrays.evaluate(line)
    out: dict[int, object] = {line: REASONS[code] for line, code in arrays.rejected[: work.rejects].tolist()}
    for row, line in enumerate(arrays.lines[: work.rows].tolist()):
        pairs = zip(arrays.values[:, row].tolist(), arrays.missing[:, row].tolist(), strict=True)
        out[line] = tuple(None if missing else value for value, missing in pairs)
    assert len(out) + work.blank == arrays.count
    assert work.flows + work.nodata + work.skipdata == work.rows
    return [out[line] for line in sorted(out)]


@pytest.mark.parametrize(
    ("line", "expected", "kind"),
    [
        (b"1 OK 443 6 x", (443, 6, 1), "flows"),
        (b" 1\tOK  0443 6 - ", (443, 6, 1), "flows"),
        (b"- OK - - x", (None, None, None), "flows"),
        (b"1 - 443 6 x", (443, 6, 1), "flows"),
        (b"1 - - 6 x", (None, 6, 1), "nodata"),
        (b"1 - 443 - x", (443, None, 1), "nodata"),
        (b"1 NODATA 443 6 x", (443, 6, 1), "nodata"),
        (b"1 SKIPDATA - - -", (None, None, 1), "skipdata"),
        (b"1 OK 443 6", "field_count", "rejects"),
        (b"x ok 70000 6 x", "bad_log_status", "rejects"),  # the first reason in the order of rule 9
        (b"1 OK 70000 x x", "bad_number", "rejects"),
        (b"9223372036854775808 OK 443 256 x", "out_of_range", "rejects"),
        (b"1 OK 443 6 x x", "field_count", "rejects"),
        (b"\r", None, "blank"),
    ],
)
def test_rules_1_and_9_what_a_line_is(decoder, line, expected, kind):
    assert evaluated(decoder, line + b"\n") == ([] if expected is None else [expected])
    arrays = arrays_of(decoder, line + b"\n")
    arrays.use(LAYOUT, frozenset(["bytes"]))
    assert arrays.evaluate(0) == 1
    counted = {name: getattr(arrays.work, name) for name in ("flows", "nodata", "skipdata", "rejects", "blank")}
    assert counted == {name: int(name == kind) for name in counted}


def test_rule_1_without_a_log_status_ports_and_protocol_decide(decoder):
    assert evaluated(decoder, b"443 6\n- 6\n443 -\nx 6\n", ("dstport", "protocol")) == [
        (443, 6),
        (None, 6),
        (443, None),
        "bad_number",
    ]
    assert evaluated(decoder, b"OK\nNODATA\n-\nOKAY\n", ("log-status",)) == [(None, None)] * 3 + ["bad_log_status"]


@pytest.mark.parametrize("status", [b"ok", b"O", b"OKK", b"\0OK", b"OK\0", b"NODAT", b"NODATAX", b"SKIPDATAS", b"--", b"K"])
def test_rule_9_a_status_is_spelled_exactly(decoder, status):
    assert evaluated(decoder, status + b"\n", ("log-status",)) == ["bad_log_status"]


NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(lambda n: str(n).encode()),
    st.integers(0, 70000).map(lambda n: b"%05d" % n),
    st.sampled_from([b"-9223372036854775808", b"9223372036854775807", b"-0", b"--1", b"0" * 40 + b"7", b"9" * 5000]),
    st.integers(0, 255).map(lambda byte: bytes([byte]).translate(None, b" \t\r\n") or b"-"),
    st.tuples(st.text("0123456789", max_size=9), st.sampled_from("/:-+._x\0\xb2")).map(lambda s: "".join(s).encode()),
)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.sampled_from(["protocol", "dstport", "tcp-flags", "bytes"]))
def test_any_number_is_read_as_python_reads_it(decoder, texts, field):
    bits = {"tcp-flags": 31, "bytes": 63}.get(field)
    low, high = (-(2**bits), 2**bits - 1) if bits else (0, {"protocol": 255, "dstport": 65535}[field])
    expected = []
    for text in texts:
        if text == b"-":
            expected.append(None)
        elif not re.fullmatch(rb"-?[0-9]+", text):
            expected.append("bad_number")
        elif len(text.lstrip(b"-0")) > 19 or not low <= int(text) <= high:
            expected.append("out_of_range")
        else:
            expected.append(int(text))
    arrays = arrays_of(decoder, b"".join(text + b" OK\n" for text in texts))
    arrays.use((field, "log-status"), frozenset([field]))
    line = 0
    while line < len(texts):
        line = arrays.evaluate(line)
    read: list[object] = [None] * len(texts)
    for line, code in arrays.rejected[: arrays.work.rejects].tolist():
        read[line] = REASONS[code]
    for row, line in enumerate(arrays.lines[: arrays.work.rows].tolist()):
        column = arrays.numbers[field]
        read[line] = None if arrays.missing[column, row] else int(arrays.values[column, row])
    assert read == expected


def test_evaluate_stops_before_a_line_for_which_there_is_no_room_and_after_what_may_be_a_header(decoder):
    arrays = arrays_of(decoder, b"1 6\n2 6\n\n3 6\n4 x\n5\n\nstart bytes\n6 6\n", rows=2, rejects=2)
    arrays.use(("dstport", "protocol"))
    assert (arrays.evaluate(0), arrays.work.rows, arrays.work.blank) == (3, 2, 1)
    assert arrays.evaluate(3) == 3
    arrays.clear()
    assert (arrays.evaluate(3), arrays.work.rows, arrays.work.rejects, arrays.work.blank) == (7, 1, 2, 1)
    arrays.clear()
    assert (arrays.evaluate(7), arrays.work.rows, arrays.work.rejects, arrays.work.may_be_header) == (8, 0, 1, 1)
    assert (arrays.evaluate(8), arrays.work.rows, arrays.work.rejects, arrays.work.may_be_header) == (9, 1, 1, 0)


@pytest.mark.parametrize(
    ("line", "maybe"),
    [
        (b"end", True),
        (b" \tdstport  new-field2\t", True),
        (b"dstport x\r", True),
        (b"ab", False),  # shorter than any field
        (b"dstport 2", False),
        (b"dstport -x", False),
        (b"dstport x_y", False),
        (b"Dstport x", False),
        (b"dstport x\r\r", False),
        (b"dstport \xc3\xa9", False),
    ],
)
def test_rule_12_what_may_be_a_header(decoder, line, maybe):
    arrays = arrays_of(decoder, line + b"\n")
    arrays.use(None)
    assert (arrays.evaluate(0), arrays.work.rejects, arrays.work.may_be_header) == (1, 1, maybe)


def test_the_audit_of_a_file_tells_which_decoder_read_it(decoder):
    data = b"dstport protocol\n443 6\n"
    sources = [Source("a", len(data), None, lambda: io.BytesIO(data)), Source("b", 9, None, lambda: io.BytesIO(data))]
    audits = [row["file"] for batch in scan_split(sources, None) for row in batch.to_pylist() if row["file"]]
    assert [(audit["status"], audit["decoder"]) for audit in audits] == [("read", decoder.name), ("skipped", decoder.name)]


@given(st.lists(st.integers(0, PORTS * PROTOCOLS - 1), max_size=50).map(lambda keys: keys * 2))
def test_keys_are_counted(decoder, keys):
    table, seen = np.zeros(PORTS * PROTOCOLS, np.uint32), np.zeros(PROTOCOLS, np.uint8)
    decoder.count(np.array(keys, np.int32), table, seen)
    assert {key: int(table[key]) for key in keys} == Counter(keys)
    assert np.flatnonzero(seen).tolist() == sorted({key // PORTS for key in keys})


def test_the_texts_of_a_column_as_arrow_lays_them_out(decoder):
    text = b"a-text-of-seventeen"
    lines = [b"443 a 6", b"443 - 6", b"443", text.join([b"443 ", b" 6"]), b"443 \xff- 6 ", b"\t443   --\t6"]
    arrays = arrays_of(decoder, b"\n".join(lines * 2) + b"\n")
    arrays.use(("dstport", "action", "protocol"))
    arrays.evaluate(0)
    edges, valid = np.empty(11, np.int32), np.zeros(2, np.uint8)
    assert decoder.texts(arrays, 1, edges, valid)
    assert edges.tolist() == [0, 1, 1, 20, 22, 24, 25, 25, 44, 46, 48]
    assert valid.tolist() == [0b10111101, 0b11]
    assert arrays.texts[:48].tobytes() == (b"a" + text + b"\xff---") * 2
    ascii_only = arrays_of(decoder, b"443 a 6\n")
    ascii_only.memory[8:72] = bytes(64)
    ascii_only.use(("dstport", "action", "protocol"))
    ascii_only.evaluate(0)
    assert not decoder.texts(ascii_only, 1, edges, valid)


def test_the_object_for_this_machine_is_chosen(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    cpu = tmp_path / "cpuinfo"
    monkeypatch.setattr(kernel, "_CPUINFO", cpu)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert kernel.object_name() == "kernel-linux-x86_64-v2.so"
    cpu.write_text("processor: 0\nflags\t\t: fpu avx2 bmi1 bmi2 fma abm movbe f16c ssse3\n\nprocessor: 1\n")
    assert kernel.object_name() == "kernel-linux-x86_64-v3.so"
    cpu.write_text("processor: 0\nflags\t\t: fpu avx bmi1 fma abm movbe f16c ssse3\n")
    assert kernel.object_name() == "kernel-linux-x86_64-v2.so"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert kernel.object_name() == "kernel-linux-aarch64.so"


def test_each_object_for_this_processor_keeps_the_rules():
    names = [path.name for path in Path(kernel.__file__).parent.glob("kernel-linux-x86_64-*.so")]
    assert len(names) == 2
    fitting = names if "v3" in kernel.object_name() else [kernel.object_name()]
    for name in fitting:
        assert kernel._outcome(kernel.load(name)) == kernel._outcome(PYTHON)


def test_plain_python_takes_the_place_of_an_object_that_is_not_there(monkeypatch):
    monkeypatch.setattr(kernel, "object_name", lambda: "kernel-plan9-mips.so")
    assert kernel.choose() is PYTHON


def test_plain_python_takes_the_place_of_an_object_that_cannot_be_loaded(monkeypatch, caplog):
    monkeypatch.setattr(kernel, "object_name", lambda: "kernel.c")
    assert kernel.choose() is PYTHON
    assert "the compiled decoder cannot be loaded" in caplog.text


def test_plain_python_takes_the_place_of_an_object_of_another_source(monkeypatch, caplog, tmp_path):
    folder = Path(kernel.__file__).parent
    stale = tmp_path / "kernel.so"
    source = hashlib.sha256((folder / "kernel.c").read_bytes()).digest()[:8]
    content = (folder / kernel.object_name()).read_bytes()
    assert content.count(source[::-1]) == 1
    stale.write_bytes(content.replace(source[::-1], bytes(8)))
    monkeypatch.setattr(kernel, "object_name", lambda: str(stale))
    assert kernel.choose() is PYTHON
    assert "is not that of kernel.c" in caplog.text


def test_plain_python_takes_the_place_of_an_object_that_breaks_a_rule(monkeypatch, caplog):
    def swapped(_name: str) -> Decoder:
        return Decoder("compiled", PYTHON.tokens, lambda arrays, line, _last: PYTHON.evaluate(arrays, line, line + 1),
                       PYTHON.count, lambda *_: 0)  # fmt: skip

    monkeypatch.setattr(kernel, "load", swapped)
    assert kernel.choose() is PYTHON
    assert "does not keep the rules" in caplog.text


def test_a_package_in_a_zip_has_the_compiled_decoder(tmp_path):
    package = tmp_path / "flowspark.zip"
    package.write_bytes(package_zip())
    code = "from flowspark.decode import kernel; print(kernel.__file__, kernel.decoder().name)"
    environment = os.environ | {"PYTHONPATH": str(package)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{package}/flowspark/decode/kernel.py compiled\n"
    assert not run.stderr


def run_beside_guard_pages(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.guard_pages", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_function_reads_or_writes_beside_its_arrays():
    run = run_beside_guard_pages(kernel.object_name(), 3000, 1)
    assert (run.returncode, run.stdout) == (0, "inside\n"), run.stderr


def test_a_byte_beside_an_array_would_be_noticed():
    run = run_beside_guard_pages(kernel.object_name(), "--trespass")
    assert (run.returncode, run.stdout) == (-signal.SIGSEGV, "inside\n")


@pytest.fixture(scope="module")
def compiler() -> str:
    """The Python that has the C compiler."""
    run = subprocess.run([ROOT / "scripts" / "env", "kernel"], stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


def test_nothing_that_c_leaves_undefined_happens(compiler, tmp_path):
    """The compiler puts a trap beside each shift, sum and pointer that could be undefined."""
    checked, source = tmp_path / "checked.so", Path(kernel.__file__).with_name("kernel.c")
    checksum = f"-DSOURCE=0x{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    options = ["-O1", "-shared", "-nostdlib", "-fPIC", "-fsanitize=undefined", "-fsanitize-trap=undefined", checksum]
    subprocess.run([compiler, "-m", "ziglang", "cc", *options, "-o", checked, source], check=True)
    run = run_beside_guard_pages(checked, 3000, 2)
    assert (run.returncode, run.stdout) == (0, "inside\n"), run.stderr


def test_the_source_gives_the_same_bytes_each_time(compiler, tmp_path):
    subprocess.run([compiler, ROOT / "scripts" / "build_kernel.py", tmp_path], check=True)
    beside = Path(kernel.__file__).parent
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in beside.glob("kernel-*.so")}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (beside / path.name).read_bytes()

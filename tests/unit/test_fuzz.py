"""Random files: the compiled kernel against the plain rules, and both against the obvious reference.

The environment may ask for more: FLOWSPARK_FUZZ_FILES is the number of files, FLOWSPARK_FUZZ_SEED where they begin.
"""

from __future__ import annotations

import gzip
import io
import os
import random

import hypothesis
import numpy as np
import pytest

from flowspark.decode import blocks, kernel
from flowspark.decode.arrays import Arrays
from flowspark.decode.batches import record_batch, reject_arrays
from flowspark.decode.reader import Audit, read_records
from flowspark.decode.rules import PYTHON
from flowspark.errors import BadFile
from flowspark.layouts import Layout, header_layout
from tests import reference
from tests.s3_server import ROOT
from tests.strategies import LAYOUTS, texts

FILES = int(os.environ.get("FLOWSPARK_FUZZ_FILES", "20000"))
SEED = int(os.environ.get("FLOWSPARK_FUZZ_SEED", "1"))
TEXTS = 400  # from which the files are made
GIVEN: list[Layout | None] = [None, None, tuple(reference.V2), ("protocol", "new-field", "dstport", "bytes", "log-status")]
COLUMNS = ("line", "dstport", "bytes", "tcp_flags", "traffic_path", "srcaddr", "log_status", "action", "unknown_fields")
WANTED = frozenset(("bytes", "tcp-flags", "traffic-path"))
STATE = ("rows", "flows", "nodata", "skipdata", "blank", "rejects", "may_be_header")
BYTES = b" \t\n\r\x00\x0b-0259azOKN\xff\x80\x1f!:/"


def made_texts(seed: int) -> list[bytes]:
    """Texts of log files: those of the tests' strategies, and parts of the sample."""
    found = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=TEXTS, database=None, derandomize=False, phases=[hypothesis.Phase.generate])
    @hypothesis.given(texts())
    def collect(text: bytes) -> None:
        found.append(text)

    collect()
    for path in sorted((ROOT / "tests" / "sample" / "logs").rglob("*.gz")):
        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        found += [lines[0] + b"".join(lines[first : first + 6]) for first in range(1, 60, 6)]
    return found


def mutated(draw: random.Random, text: bytes) -> bytes:
    """A text with some bytes changed, inserted, taken away, or repeated, also by 63 to 65: 64 bytes are read at a time."""
    out = bytearray(text)
    for _ in range(draw.randrange(5)):
        place, byte = draw.randrange(len(out) + 1), bytes([draw.choice(BYTES)])
        kind = draw.randrange(5)
        if kind == 0:
            out[place : place + 1] = byte
        elif kind == 1:
            out[place:place] = byte
        elif kind == 2:
            del out[place : place + draw.choice([1, 1, 5, 64])]
        elif kind == 3:
            out[place:place] = byte * draw.choice([2, 7, 17, 63, 64, 65])
        else:
            other = draw.randrange(len(out) + 1)
            out[place:place] = out[other : other + draw.choice([8, 64, 200])]
    return bytes(out)


def found_in(arrays: Arrays, data: bytes, layout: Layout | None, place: int) -> list[object]:
    """All that a decoder's functions find in a file under one layout, with the texts of the column in a place."""
    lines = data if data.endswith(b"\n") else data + b"\n"
    arrays.memory[: len(lines)] = lines
    arrays.use(layout, WANTED)
    arrays.clear()
    line, work, rows = arrays.take(blocks.Block(0, len(lines), data != lines)), arrays.work, 0
    firsts = arrays.firsts[: line + 1].tobytes()
    found: list[object] = [firsts, arrays.feeds[: line + 1].tobytes(), arrays.ends[: arrays.firsts[line]].tobytes()]
    line = 0
    while line < arrays.count:
        line = arrays.evaluate(line)
        found.append((line, *(getattr(work, name) for name in STATE)))
        rows = work.rows
        if rows == work.most_rows or work.rejects == work.most_rejects or line == arrays.count:
            sides = arrays.values[:, :rows], arrays.missing[:, :rows], arrays.lines[:rows], arrays.keys[: work.flows]
            found += [side.tobytes() for side in (*sides, arrays.rejected[: work.rejects])]
            if layout and rows:
                edges, valid = np.empty(rows + 1, np.int32), np.zeros(rows // 8 + 1, np.uint8)
                other = arrays.decoder.texts(arrays, place % len(layout), edges, valid)
                written = arrays.texts[: edges[rows]].tobytes()
                found += [bool(other) or written.isascii(), edges.tobytes(), valid.tobytes(), written]
            arrays.clear()
    return found


def outcome(arrays: Arrays, data: bytes, given: Layout | None) -> tuple:
    """All that a decoder makes of a file."""
    audit, keys, rejects, rows = Audit(), [], [], []
    try:
        for records in read_records(io.BytesIO(data), audit, arrays, given, WANTED):
            keys += records.keys.tolist()
            rejects += zip(*(column.to_pylist() for column in reject_arrays([records.rejects()])), strict=True)
            rows += record_batch(records, "f", COLUMNS).to_pylist()
    except BadFile as error:
        return str(error), audit
    return audit, keys, rejects, rows


def assert_as_the_reference(found: tuple, data: bytes, given: Layout | None) -> None:
    try:
        expected = reference.read(data, list(given) if given else None, ("bytes", "tcp-flags", "traffic-path"))
    except reference.Bad:
        assert isinstance(found[0], str), found
        return
    audit, keys, rejects, rows = found
    counted = audit.lines, audit.header, audit.blank, audit.flows, audit.nodata, audit.skipdata, audit.reasons.total()
    assert counted == expected.audit
    assert len(keys) == audit.flows
    assert rejects == expected.rejects
    assert [" ".join(layout) for layout in audit.layouts] == expected.layouts
    names = ("line", "bytes", "tcp-flags", "traffic-path", "unknown_fields")
    assert [[row[name.replace("-", "_")] for name in names] for row in rows] == [
        [row.get(name) for name in names] for row in expected.records
    ]


def test_any_file_comes_to_the_same_compiled_and_plain():
    compiled = kernel.load(kernel.object_name())
    pairs = [(Arrays(compiled), Arrays(PYTHON)), (Arrays(compiled, 3, 2), Arrays(PYTHON, 3, 2))]
    made, draw = made_texts(SEED), random.Random(SEED)
    layouts = [None, *map(tuple, LAYOUTS)]
    for number in range(FILES):
        data, (one, other) = mutated(draw, draw.choice(made)), pairs[number % 2]
        layout = header_layout(data.split(b"\n", 1)[0]) or draw.choice(layouts)
        place = draw.randrange(99)
        if data:
            assert found_in(one, data, layout, place) == found_in(other, data, layout, place), (data, layout)
        if number % 50 == 0 and not data.startswith(blocks.GZIP):
            given = draw.choice(GIVEN)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(blocks, "_BLOCK", draw.choice([70, 1 << 19]))
                found = outcome(one, data, given)
                assert found == outcome(other, data, given), (data, given)
            assert_as_the_reference(found, data, given)

"""One log file, from its first byte to its last: layouts resolved, records evaluated, every line accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from flowspark.decode.blocks import Block, Buffer, read_blocks
from flowspark.decode.numbers import REASONS
from flowspark.decode.records import FLOW, NODATA, SKIPDATA, Records, evaluate, headers
from flowspark.decode.tokens import first_line, line_end
from flowspark.errors import BadFile
from flowspark.files import Piece
from flowspark.layouts import Layout, check_countable, header_layout, headerless_layout, no_records

LAYOUT_LIMIT = 1000
"""How many different layouts a flow log can have (rule 10)."""

_LAYOUT_TEXT = 1 << 14  # characters that all names of a layout may have; the names of all fields of AWS have some 900
_LAYOUTS_TEXT = 1 << 18  # of all layouts of a file: a task keeps the audits of many files
_CR, _SPACE = b"\r "


@dataclass
class Audit:
    """The books of a file or of a piece. Every line is counted once, in one of the six kinds (rule 11)."""

    first_line: int = 1
    lines: int = 0
    header: int = 0
    blank: int = 0
    flows: int = 0
    nodata: int = 0
    skipdata: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    layouts: dict[Layout, None] = field(default_factory=dict)  # in the order of their first lines
    layout_text: int = 0

    @property
    def next_line(self) -> int:
        """The number, in the file, of the line after those that were counted."""
        return self.first_line + self.lines

    def add(self, records: Records, headers: int = 0) -> None:
        """Enters the lines of some records. `headers` of the blank ones repeat the layout as a header (`_blank_out`)."""
        self.lines += len(records.lines)
        self.header += headers
        self.blank += records.lines.blank - headers
        self.flows += records.count(FLOW)
        self.nodata += records.count(NODATA)
        self.skipdata += records.count(SKIPDATA)
        _, codes = records.refused
        if len(codes):
            counts = np.bincount(codes, minlength=len(REASONS)).tolist()
            self.reasons.update(dict(zip(REASONS[1:], counts[1:], strict=True)))

    def add_header(self, layout: Layout) -> None:
        """Enters a header line."""
        self.lines += 1
        self.header += 1
        self.use(layout)

    def use(self, layout: Layout) -> None:
        """Notes that lines of the file have a layout.

        Raises:
            BadFile: its flows cannot be counted, its names are too long, or the file has too many layouts (rule 10).
        """
        if layout in self.layouts:
            return
        text = sum(map(len, layout))
        self.layout_text += text
        if self.layout_text > _LAYOUTS_TEXT:
            raise BadFile("not a flow log: its header lines are far too long in all; leave the file out")
        if text > _LAYOUT_TEXT:
            raise BadFile(f"not a flow log: its layout '{' '.join(layout)[:200]} …' is far too long; leave the file out")
        if len(self.layouts) == LAYOUT_LIMIT:
            raise BadFile(f"not a flow log: it has more than {LAYOUT_LIMIT:,} different header lines; leave the file out")
        self.layouts[check_countable(layout)] = None


def read_records(
    raw: IO[bytes],
    audit: Audit,
    buffer: Buffer,
    given: Layout | None = None,
    wanted: frozenset[str] = frozenset(),
    size: int | None = None,
    *,
    piece: Piece | None = None,
) -> Iterator[Records]:
    """Yields the records of a binary file, some lines at a time.

    Use each result before you ask for the next one, which overwrites its memory.

    Args:
        raw: the file, text or gzip; or the bytes of the piece.
        audit: is filled as the records pass; complete when they end.
        buffer: the memory to read into.
        given: the layout to use when the file has no header of its own.
        wanted: the fields to read in addition to those that decide what a record is.
        size: the size with which the file was listed; None means: do not check it.
        piece: the piece to read; None means the whole file.

    Raises:
        BadFile: the file cannot be read to its end, or is not a flow log (rule 10).
    """
    layout: Layout | None = None
    opening = b""
    start, stop = 0, None
    if piece:
        start, stop, audit.first_line, layout = piece
        audit.use(layout)
    for whole in read_blocks(raw, buffer, size, start, stop):
        block = whole
        if layout is None:
            start, blank = first_line(block)
            audit.lines += blank
            audit.blank += blank
            if start == len(block.data) - 1:
                continue
            block = block.part(start, len(block.data) - 1)
            opening = block.data[1 : line_end(block)].tobytes()
            layout, block = _first_layout(block, audit, given)
        if len(block.data) == 1:
            continue
        records = evaluate(block, layout, wanted, audit.next_line)
        found = headers(records)
        if found:
            yield from _segments(block, records, found, wanted, audit)
            layout = found[-1][1]
        else:
            audit.add(records)
            yield records
    if layout and not piece and not audit.header and not audit.flows + audit.nodata + audit.skipdata:
        shown = " ".join(layout)[:200]
        problem = f"not a flow log: it has no header, and not one of its lines is a record of the layout '{shown}'"
        raise no_records(opening, problem, "give the right --layout")


def _first_layout(block: Block, audit: Audit, given: Layout | None) -> tuple[Layout, Block]:
    """The layout that the block's first line declares or shows; and the block, without this line if it is a header."""
    end = len(block.data) - 1
    stop = line_end(block)
    line = block.data[1:stop].tobytes()
    if line.endswith(b"\r") and not (block.open_end and stop == end):
        line = line[:-1]
    layout = header_layout(line)
    if layout:
        audit.add_header(layout)
        return layout, block.part(stop, end)
    layout = headerless_layout(line, given)
    audit.use(layout)
    return layout, block


def _segments(
    block: Block, whole: Records, found: list[tuple[int, Layout]], wanted: frozenset[str], audit: Audit
) -> Iterator[Records]:
    """Yields the records before, between and after the header lines of a block, each with its own layout (rule 12).

    `whole` is the block, evaluated under its first layout. `found` has all headers in it, because any layout rejects a
    header as a record.
    """
    ends = whole.lines.ends
    layout, start, repeated = whole.layout, 0, 0
    for line, following in [*found, (len(ends) - 1, None)]:
        if following == layout:
            _blank_out(block, int(ends[line]) + 1, int(ends[line + 1]))
            repeated += 1
            continue
        if line > start:
            records = evaluate(block.part(int(ends[start]), int(ends[line])), layout, wanted, audit.next_line)
            audit.add(records, repeated)
            yield records
        if following:
            audit.add_header(following)
            layout, start, repeated = following, line + 1, 0


def _blank_out(block: Block, first: int, last: int) -> None:
    """Makes a header that repeats the layout in force a blank line, which does not part the records around it.

    A file that was concatenated from small files may have such a header for each record.
    """
    if block.data[last - 1] == _CR:
        last -= 1
    block.data[first:last] = _SPACE

"""One log file, from its first byte to its last: layouts resolved, records evaluated, every line accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO

from flowspark.decode.arrays import Arrays
from flowspark.decode.blocks import read_blocks
from flowspark.decode.records import Records
from flowspark.errors import BadFile
from flowspark.files import Piece
from flowspark.layouts import Layout, check_countable, header_layout, headerless_layout, no_records

LAYOUT_LIMIT = 1000
"""How many different layouts a flow log can have (rule 10)."""

_LAYOUT_TEXT = 1 << 14  # characters that all names of a layout may have; the names of all fields of AWS have some 900
_LAYOUTS_TEXT = 1 << 18  # of all layouts of a file: a task keeps the audits of many files


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

    def add(self, records: Records) -> None:
        """Enters what some lines came to. The lines themselves, and the headers, are counted as they are read."""
        work = records.arrays.work
        self.blank += work.blank
        self.flows += work.flows
        self.nodata += work.nodata
        self.skipdata += work.skipdata
        self.reasons.update(records.reasons())

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
    arrays: Arrays,
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
        arrays: the memory to read into.
        given: the layout to use when the file has no header of its own.
        wanted: the fields to read in addition to those that decide what a record is.
        size: the size with which the file was listed; None means: do not check it.
        piece: the piece to read; None means the whole file.

    Raises:
        BadFile: the file cannot be read to its end, or is not a flow log (rule 10).
    """
    arrays.clear()  # a file that was not read to its end may have left something
    opening: bytes | None = None  # the first line that is not blank
    start, stop = 0, None
    if piece:
        start, stop, audit.first_line, layout = piece
        opening = b""
        audit.use(layout)
        arrays.use(layout, wanted)
    for block in read_blocks(raw, arrays.memory, size, start, stop):
        first_line = audit.next_line
        lines = arrays.take(block)
        audit.lines += lines
        line = 0
        if opening is None:
            line = arrays.blank_lines()
            audit.blank += line
            if line == lines:
                continue
            opening = arrays.text(line)
            header = header_layout(opening)
            if header:
                audit.header += 1
                line += 1
            layout = header or headerless_layout(opening, given)
            audit.use(layout)
            arrays.use(layout, wanted)
        while line < lines:
            line = arrays.evaluate(line)
            header = take_header(arrays, line)
            audit.header += header is not None
            if line < lines and arrays.work.may_be_header and header in (None, arrays.layout):
                continue  # nothing changes, and the arrays have room
            records = Records(arrays, first_line)
            audit.add(records)
            yield records
            arrays.clear()
            if header:
                audit.use(header)
                arrays.use(header, wanted)
    if opening and not audit.header and not audit.flows + audit.nodata + audit.skipdata:
        shown = " ".join(layout)[:200]
        problem = f"not a flow log: it has no header, and not one of its lines is a record of the layout '{shown}'"
        raise no_records(opening, problem, "give the right --layout")


def take_header(arrays: Arrays, line: int) -> Layout | None:
    """The layout that the line before `line` declares, if it is a header (rule 12). It is then not a rejected line.

    `line` is what `evaluate` has just returned.
    """
    layout = _header_layout(arrays.text(line - 1)) if arrays.work.may_be_header else None
    if layout:
        arrays.work.rejects -= 1
    return layout


_header_layout = lru_cache(maxsize=1)(header_layout)  # a file may have the same header before each record

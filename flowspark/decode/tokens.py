"""Where the values of a block's lines stand: a vectorised way for clean blocks, and one for blocks with anything odd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowspark.decode.blocks import Block

Positions = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_TAB, _LF, _CR, _SPACE = 9, 10, 13, 32


@dataclass(frozen=True)
class Lines:
    """The lines of a block, seen as rows of a fixed number of values.

    A value stands between two bounds, the positions of the bytes before and after it.

    Attributes:
        block: the bytes that the positions refer to.
        ends: the position of each line's LF, after that of the LF before the first line: lines + 1 positions.
        bounds: the positions of all bytes that stand between values.
        values: which bound stands before each value of all lines; None when one stands before each, but for the last.
        firsts: which value is the first of each row; None when every line is a row.
        row_lines: the line, from 0, of each row; None when every line is a row.
        fields: how many values a row has.
        odd: the lines, from 0, with another number of values.
        blank: the number of lines without a value.
    """

    block: Block
    ends: Positions
    bounds: Positions
    values: Positions | None
    firsts: Positions | None
    row_lines: Positions | None
    fields: int
    odd: Positions
    blank: int

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def rows(self) -> int:
        return len(self) if self.row_lines is None else len(self.row_lines)

    def column(self, place: int) -> tuple[Positions, Positions]:
        """Where the values in one place of all rows start, and where they end."""
        if self.values is None and self.firsts is None:
            return self.bounds[place : -1 : self.fields] + 1, self.bounds[place + 1 :: self.fields]
        wanted = place + (np.arange(0, self.rows * self.fields, self.fields) if self.firsts is None else self.firsts)
        if self.values is not None:
            wanted = self.values[wanted]
        return self.bounds[wanted] + 1, self.bounds[wanted + 1]

    def texts(self, lines: Positions) -> Iterator[bytes]:
        """Some lines as they stand in the file, without their line ends."""
        data, open_line = self.block.data.data, len(self) - 1 if self.block.open_end else None
        firsts, lasts = self.ends[lines] + 1, self.ends[lines + 1]
        for line, first, last in zip(lines.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
            text = bytes(data[first:last])
            yield text[:-1] if text.endswith(b"\r") and line != open_line else text


def split(block: Block, fields: int) -> Lines:
    """The block's lines as rows of `fields` values."""
    bounds = low_bytes(block)
    return clean(block, bounds, fields) or general(block, bounds, fields)


_NONE = np.empty(0, np.intp)


def low_bytes(block: Block) -> Positions:
    """The positions of all bytes up to the space: whatever can stand between values is among them."""
    return np.flatnonzero(block.data <= _SPACE)


def clean(block: Block, bounds: Positions, fields: int) -> Lines | None:
    """The rows of a block in which every line has exactly `fields` values with one space between them; else None.

    When every n-th low byte is an LF, all others are spaces and no two stand side by side, nothing else is possible.
    """
    rows, rest = divmod(len(bounds) - 1, fields)
    if rest:
        return None
    kinds = block.data[bounds]
    if (
        (kinds[::fields] != _LF).any()
        or np.count_nonzero(kinds == _SPACE) != rows * (fields - 1)
        or (bounds[1:] - bounds[:-1] == 1).any()
    ):
        return None
    return Lines(block, bounds[::fields], bounds, None, None, None, fields, _NONE, 0)


def general(block: Block, bounds: Positions, fields: int) -> Lines:
    """The rows of any block: runs of blanks, tabs and CRLF are seen through, odd and blank lines are put aside."""
    kinds = block.data[bounds]
    between = (kinds == _SPACE) | (kinds == _LF) | (kinds == _TAB)
    others = np.flatnonzero(~between)
    if len(others):
        between[others] = _ends_line(block, bounds[others])
        if not between.all():
            bounds, kinds = bounds[between], kinds[between]
    lines = np.flatnonzero(kinds == _LF)  # as bounds
    filled = bounds[1:] - bounds[:-1] > 1
    values, starts = None, lines
    if not filled.all():
        values = np.flatnonzero(filled)
        starts = lines - np.searchsorted(np.flatnonzero(~filled), lines)  # as values
    counts = starts[1:] - starts[:-1]
    full = counts == fields
    row_lines = firsts = None
    odd, blank = _NONE, 0
    if not full.all():
        row_lines = np.flatnonzero(full)
        firsts = starts[row_lines]
        odd = np.flatnonzero(~full & (counts > 0))
        blank = len(counts) - len(row_lines) - len(odd)
    return Lines(block, bounds[lines], bounds, values, firsts, row_lines, fields, odd, blank)


def _ends_line(block: Block, places: Positions) -> Mask:
    """Which bytes are the CR of a line's end."""
    ends: Mask = (block.data[places] == _CR) & (block.data[places + 1] == _LF)
    if block.open_end:
        ends &= places < len(block.data) - 2
    return ends


_BLANK_LINES = re.compile(rb"\n(?:[ \t]*+\r?\n)*+")
_NEXT_LINE = re.compile(rb"\n[^\n]*")


def first_line(block: Block) -> tuple[int, int]:
    """The position of the LF before the first line that is not blank, or of the last LF; and how many lines are before."""
    lead = _BLANK_LINES.match(block.data.data)
    assert lead  # a block begins with an LF
    blank, last = lead.group().count(b"\n") - 1, lead.end() - 1
    if block.open_end and block.data[-2:].tobytes() == b"\r\n" and lead.end() == len(block.data):
        blank, last = blank - 1, lead.group().rindex(b"\n", 0, -1)
    return last, blank


def line_end(block: Block) -> int:
    """The position of the LF that ends the first line."""
    end = _NEXT_LINE.match(block.data.data)
    assert end  # a block ends with an LF
    return end.end()

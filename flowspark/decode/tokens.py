"""Where the values of a block's lines stand: a vectorised way for clean blocks, and one for blocks with anything odd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowspark.decode.blocks import Block, Bytes

Positions = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_TAB, _LF, _CR, _SPACE = 9, 10, 13, 32


@dataclass(frozen=True)
class Lines:
    """The lines of a block, seen as rows of a fixed number of values.

    Attributes:
        block: the bytes that the positions refer to.
        ends: the position of each line's LF, after that of the LF before the first line: lines + 1 positions.
        starts, stops: where each value of each row starts, and where it ends: rows x fields.
        row_lines: the line, from 0, of each row; None when every line is a row.
        odd: the lines, from 0, with another number of values.
        blank: the number of lines without a value.
    """

    block: Block
    ends: Positions
    starts: Positions
    stops: Positions
    row_lines: Positions | None
    odd: Positions
    blank: int

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def rows(self) -> int:
        return len(self.starts)

    def text(self, line: int) -> bytes:
        """A line as it stands in the file, without its line end."""
        first, last = int(self.ends[line]) + 1, int(self.ends[line + 1])
        text = self.block.data[first:last].tobytes()
        added = self.block.open_end and line == len(self) - 1
        return text[:-1] if text.endswith(b"\r") and not added else text


def split(block: Block, fields: int) -> Lines:
    """The block's lines as rows of `fields` values."""
    return clean(block, fields) or general(block, fields)


_NONE = np.empty(0, np.intp)


def clean(block: Block, fields: int) -> Lines | None:
    """The rows of a block in which every line has exactly `fields` values with one space between them; else None.

    All bytes up to the space are found in one pass. When every n-th of them is an LF, all others are spaces and no two
    stand side by side, nothing else is possible.
    """
    data = block.data
    bounds = np.flatnonzero(data <= _SPACE)
    rows, rest = divmod(len(bounds) - 1, fields)
    if rest:
        return None
    ends = bounds[::fields]
    kinds = data[bounds]
    if (
        not (kinds[::fields] == _LF).all()
        or np.count_nonzero(kinds == _SPACE) != rows * (fields - 1)
        or (bounds[1:] - bounds[:-1] == 1).any()
    ):
        return None
    starts = bounds[:-1].reshape(rows, fields)
    return Lines(block, ends, starts + 1, bounds[1:].reshape(rows, fields), None, _NONE, 0)


def general(block: Block, fields: int) -> Lines:
    """The rows of any block: runs of blanks, tabs and CRLF are seen through, odd and blank lines are put aside."""
    data = block.data
    blank = separators(block)
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1  # the block begins and ends with an LF: starts and stops alternate
    starts, stops = edges[::2], edges[1::2]
    ends = np.flatnonzero(data == _LF)
    first = np.searchsorted(starts, ends)
    counts = np.diff(first)
    full = counts == fields
    row_lines = np.flatnonzero(full)
    if len(row_lines) * fields != len(starts):
        kept = np.repeat(full, counts)
        starts, stops = starts[kept], stops[kept]
    odd = np.flatnonzero(~full & (counts > 0))
    shape = (len(row_lines), fields)
    return Lines(
        block,
        ends,
        starts.reshape(shape),
        stops.reshape(shape),
        None if full.all() else row_lines,
        odd,
        len(counts) - len(row_lines) - len(odd),
    )


def separators(block: Block) -> Mask:
    """Which bytes stand between values: spaces, tabs, LF, and a CR that belongs to a line's end."""
    data = block.data
    mask: Mask = (data == _SPACE) | (data == _TAB) | (data == _LF)
    returns = np.flatnonzero(data[:-1] == _CR)
    mask[returns[data[returns + 1] == _LF]] = True
    if block.open_end and len(data) > 1 and data[-2] == _CR:
        mask[-2] = False
    return mask


def first_line(block: Block) -> int | None:
    """The position of the LF before the first line that is not blank; None when all are."""
    values = np.flatnonzero(~separators(block))
    if not len(values):
        return None
    before: Bytes = block.data[: values[0]]
    return int(np.flatnonzero(before == _LF)[-1])

"""Lines of a block that were evaluated under one layout: its flows, its rows, and the lines that are rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowspark.decode.arrays import Arrays, Ints
from flowspark.decode.rules import REASONS

TEXT_LIMIT = 1000  # characters of a rejected line that are kept


class Rejects(NamedTuple):
    """Rejected lines of a file, in order.

    Attributes:
        lines: their numbers in the file, from 1.
        codes: the places of their reasons in `REASONS`.
        texts: how they begin: at least 1,000 characters, if there are so many.
    """

    lines: npt.NDArray[np.int64]
    codes: Ints
    texts: list[bytearray]


@dataclass(frozen=True)
class Records:
    """The rows and rejected lines that stand in a task's arrays. The next lines that are evaluated overwrite them.

    Attributes:
        arrays: the arrays.
        first_line: the number, in the file, of the block's first line.
    """

    arrays: Arrays
    first_line: int

    @property
    def rows(self) -> int:
        """How many rows there are: flows, NODATA and SKIPDATA."""
        rows: int = self.arrays.work.rows
        return rows

    @property
    def keys(self) -> Ints:
        """The key of each flow: its protocol and dstport in one number."""
        return self.arrays.keys[: self.arrays.work.flows]

    def reasons(self) -> Counter[str]:
        """How many lines are rejected for each reason."""
        codes = self.arrays.rejected[: self.arrays.work.rejects, 1]
        counts = np.bincount(codes, minlength=len(REASONS)).tolist() if len(codes) else ()
        return Counter({reason: count for reason, count in zip(REASONS, counts, strict=False) if count})

    def rejects(self, most: int | None = None) -> Rejects:
        """The rejected lines, `most` at most. They stay when the arrays are overwritten."""
        lines, codes = self.arrays.rejected[: self.arrays.work.rejects][:most].T
        firsts, stops = self.arrays.spans(lines)
        ends = np.minimum(stops, firsts + 4 * TEXT_LIMIT)  # a character has up to four bytes
        memory = self.arrays.memory
        texts = [memory[first:end] for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)]
        return Rejects(lines.astype(np.int64) + self.first_line, codes.copy(), texts)

"""Lines of a block that were evaluated under one layout: its flows, its rows, and the lines that are rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowspark.decode.arrays import Arrays, Ints
from flowspark.decode.rules import REASONS

TEXT_LIMIT = 1000


class Reject(NamedTuple):
    """A rejected line: its number in the file (from 1), the reason, and its first 1,000 characters as they stand."""

    line: int
    reason: str
    text: str


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

    def rejects(self, most: int | None = None) -> Iterator[Reject]:
        """Yields the rejected lines in order, `most` at most."""
        for line, code in self.arrays.rejected[: self.arrays.work.rejects][:most].tolist():
            # a character has up to four bytes: with fewer bytes, the cut could change one of the first 1,000 characters
            text = self.arrays.text(line)[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT]
            yield Reject(self.first_line + line, REASONS[code], text)

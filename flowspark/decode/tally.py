"""The tally: how many flows each protocol and dstport has, kept as counts of single numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

KEY_SHIFT = 17
"""A key is `protocol << 17 | dstport`; a missing one has the first number that a real one cannot have."""
NO_PORT = 65536
NO_PROTOCOL = 256

_FULL = 1 << 20
_DENSE = 64 << KEY_SHIFT  # keys below: counted in an array of all possible ones, 64 MB at most


class Tally:
    """Counts of keys, in memory bounded by the number of different keys."""

    def __init__(self) -> None:
        self._pending: list[Longs] = []
        self._size = 0
        self._keys: Longs = np.empty(0, np.int64)
        self._counts: Longs = np.empty(0, np.int64)

    def add(self, keys: Longs) -> None:
        """Counts each key once."""
        if len(keys):
            self._pending.append(keys)
            self._size += len(keys)
            if self._size > _FULL:
                self._settle()

    def merge(self, other: Tally) -> None:
        """Takes over all that another tally has counted."""
        for keys in other._pending:
            self.add(keys)
        if len(other._keys):
            self._combine(other._keys, other._counts)

    def counts(self) -> tuple[Longs, Longs]:
        """The different keys, ascending, and the count of each."""
        self._settle()
        return self._keys, self._counts

    def _settle(self) -> None:
        if self._pending:
            keys = np.concatenate(self._pending)
            self._pending, self._size = [], 0
            if keys.max() < _DENSE:
                dense = np.bincount(keys)
                found = np.flatnonzero(dense)
                self._combine(found, dense[found])
            else:
                self._combine(*np.unique(keys, return_counts=True))

    def _combine(self, keys: Longs, counts: Longs) -> None:
        both = np.concatenate([self._keys, keys])
        self._keys, places = np.unique(both, return_inverse=True)
        sums = np.zeros(len(self._keys), np.int64)
        np.add.at(sums, places, np.concatenate([self._counts, counts]))
        self._counts = sums


def split_keys(keys: Longs) -> tuple[Longs, Longs]:
    """The dstport and the protocol of keys; `NO_PORT` and `NO_PROTOCOL` where they are missing."""
    return keys & (2**KEY_SHIFT - 1), keys >> KEY_SHIFT

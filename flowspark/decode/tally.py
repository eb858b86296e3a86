"""The tally: how many flows each protocol and dstport has, kept as counts of single numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

NO_PORT = 65536
NO_PROTOCOL = 256
"""What stands for a missing dstport and a missing protocol: the first number that a real one cannot have."""

_SHIFT = 17
_FULL = 1 << 20
_COMMON = (6, 17, 1, 58, 50, 47, 2, 4, 41, 51, 88, 89, 103, 112, 132)
_DENSE = 16 << _SHIFT  # keys below, of common protocols: counted in an array of all possible ones, 16 MB at most
_PROTOCOLS: Longs = np.array([*_COMMON, *sorted({*range(NO_PROTOCOL + 1)} - {*_COMMON})], np.int64)
_RANKS: Longs = np.argsort(_PROTOCOLS)


def keys_of(ports: Longs, protocols: Longs) -> Longs:
    """One number for each protocol and dstport, small for the common protocols."""
    return _RANKS[protocols] << _SHIFT | ports


def split_keys(keys: Longs) -> tuple[Longs, Longs]:
    """The dstports and the protocols of keys."""
    return keys & (2**_SHIFT - 1), _PROTOCOLS[keys >> _SHIFT]


class Tally:
    """Counts of keys, in memory bounded by the number of different keys."""

    def __init__(self) -> None:
        self._pending: list[Longs] = []
        self._size = 0
        self._dense: Longs = np.empty(0, np.int64)
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
        self._add_dense(other._dense)
        self._add_sparse(other._keys, other._counts)

    def counts(self) -> tuple[Longs, Longs]:
        """The different keys, ascending, and the count of each."""
        self._settle()
        found = np.flatnonzero(self._dense)
        self._add_sparse(found, self._dense[found])
        self._dense = self._dense[:0]
        return self._keys, self._counts

    def _settle(self) -> None:
        if self._pending:
            keys = np.concatenate(self._pending)
            self._pending, self._size = [], 0
            if keys.max() < _DENSE:
                self._add_dense(np.bincount(keys))
            else:
                self._add_sparse(*np.unique(keys, return_counts=True))

    def _add_dense(self, counts: Longs) -> None:
        more, less = (counts, self._dense) if len(counts) > len(self._dense) else (self._dense, counts)
        more[: len(less)] += less
        self._dense = more

    def _add_sparse(self, keys: Longs, counts: Longs) -> None:
        if len(keys):
            both = np.concatenate([self._keys, keys])
            self._keys, places = np.unique(both, return_inverse=True)
            sums = np.zeros(len(self._keys), np.int64)
            np.add.at(sums, places, np.concatenate([self._counts, counts]))
            self._counts = sums

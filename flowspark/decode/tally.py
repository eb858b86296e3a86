"""The tally: how many flows each protocol and dstport has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from flowspark.decode.arrays import PORTS, PROTOCOLS, Bytes, Counts, Decoder, Ints

Longs = npt.NDArray[np.int64]

_WAITING = 1 << 20  # keys
_MOST = (1 << 32) - 1  # what one count of a table can hold


class Tally:
    """Counts of keys (protocol * PORTS + dstport).

    Keys wait until there are many of them, so that a small file needs no table of its own: if it is bad, its keys are
    dropped. A table has a count for each possible key, 67 MB; only the pages that are written take memory.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._count = decoder.count
        self._waiting: list[Ints] = []
        self._size = 0
        self._table: Counts | None = None
        self._seen: Bytes = np.zeros(PROTOCOLS, np.uint8)
        self._flows = 0  # in the table
        self._full: list[tuple[Longs, Counts]] = []  # what tables held that could have overflown

    def add(self, keys: Ints) -> None:
        """Counts each key once. The keys are copied."""
        if len(keys):
            self._add(keys.copy())

    def merge(self, other: Tally) -> None:
        """Takes over all that another tally has counted. The other one cannot be used any more."""
        for keys in other._waiting:
            self._add(keys)
        self._full += other._full
        if other._table is None:
            return
        if self._table is None:
            self._table, self._seen, self._flows = other._table, other._seen, other._flows
            return
        self._make_room(other._flows)
        for protocol in np.flatnonzero(other._seen):
            part = slice(protocol * PORTS, (protocol + 1) * PORTS)
            self._table[part] += other._table[part]
        self._seen |= other._seen

    def counts(self) -> Iterator[tuple[Longs, Counts]]:
        """Yields the keys, ascending, and the count of each; more than once only after four billion flows."""
        self._settle()
        yield from self._full
        yield self._counted()

    def _add(self, keys: Ints) -> None:
        self._waiting.append(keys)
        self._size += len(keys)
        if self._size > _WAITING:
            self._settle()

    def _settle(self) -> None:
        if self._table is None:
            self._table = np.zeros(PROTOCOLS * PORTS, np.uint32)
        for keys in self._waiting:
            self._make_room(len(keys))
            self._count(keys, self._table, self._seen)
        self._waiting, self._size = [], 0

    def _make_room(self, flows: int) -> None:
        if self._flows + flows > _MOST:
            self._full.append(self._counted())
            assert self._table is not None
            self._table[:] = 0
            self._seen[:] = 0
            self._flows = 0
        self._flows += flows

    def _counted(self) -> tuple[Longs, Counts]:
        """The keys in the table, ascending, and the count of each."""
        assert self._table is not None
        found = [np.empty(0, np.int64)]
        for protocol in np.flatnonzero(self._seen):
            first = int(protocol) * PORTS
            found.append(np.flatnonzero(self._table[first : first + PORTS]) + first)
        keys = np.concatenate(found)
        return keys, self._table[keys]

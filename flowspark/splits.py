"""Pack log files into splits: one split, one task."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from flowspark.files import LogFile

Split = list[LogFile]

_MEGABYTE = 1 << 20
_SMALLEST, _LARGEST = 64 * _MEGABYTE, 128 * _MEGABYTE
_OPENING = _MEGABYTE // 4  # what opening a file costs, in bytes read: keeps a million tiny files from one task
_WAVES = 32


def pack(files: Sequence[LogFile]) -> list[Split]:
    """The files in splits of about equal work, the heaviest split first; the same files give the same splits.

    A split is a thirty-second of the work, but from 64 to 128 MB: a small input does not pay for many tasks, each with a
    tally of its own, and a large one has no task that outlives the others by much.

    >>> from flowspark.files import LogFile
    >>> splits = pack([LogFile(name, size << 20) for name, size in [("a", 10), ("b", 70), ("c", 20), ("d", 10)]])
    >>> [[file.path for file in split] for split in splits]
    [['b'], ['c', 'a', 'd']]
    """
    work = sum(map(_weight, files))
    target = min(max(work // _WAVES, _SMALLEST), _LARGEST)
    count = min(len(files), -(-work // target))
    heap = [(0, number) for number in range(count)]
    splits: list[Split] = [[] for _ in range(count)]
    for file in sorted(files, key=lambda file: (-file.size, file.path)):
        load, number = heap[0]
        splits[number].append(file)
        heapq.heapreplace(heap, (load + _weight(file), number))
    used = [split for split in splits if split]
    return sorted(used, key=lambda split: (-sum(map(_weight, split)), split[0].path))


def _weight(file: LogFile) -> int:
    return file.size + _OPENING

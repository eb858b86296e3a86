"""Pack log files into splits: one split, one task."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from flowspark.files import LogFile

Split = list[LogFile]

_MEGABYTE = 1 << 20
_SMALLEST, _LARGEST = 32 * _MEGABYTE, 256 * _MEGABYTE
_OPENING = _MEGABYTE // 4  # what opening a file costs, in bytes read: keeps a million tiny files from one task


def pack(files: Sequence[LogFile], cores: int) -> list[Split]:
    """The files in splits of about equal work, the heaviest split first; the same files give the same splits.

    A split is a core's share of the work, but from 32 to 256 MB: a small input does not pay for many tasks, each with a
    tally of its own, and a large one has no task that outlives the others by much. Splits that take several rounds are as
    many as fill the last round too.

    Args:
        files: the log files.
        cores: how many tasks run at a time.

    >>> from flowspark.files import LogFile
    >>> splits = pack([LogFile(name, size << 20) for name, size in [("a", 10), ("b", 70), ("c", 20), ("d", 10)]], cores=2)
    >>> [[file.path for file in split] for split in splits]
    [['b'], ['c', 'a', 'd']]
    """
    work = sum(map(_weight, files))
    count = -(-work // min(max(-(-work // cores), _SMALLEST), _LARGEST))
    if count > cores:
        count = -(-count // cores) * cores
    count = min(len(files), count)
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

"""Packs log files into splits, one for each task. Files that are too large for one task are cut into pieces first."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from flowspark.decode.reader import LAYOUT_LIMIT
from flowspark.decode.survey import Span
from flowspark.files import LogFile, Piece
from flowspark.layouts import Layout

Split = list[LogFile]

_MEGABYTE = 1 << 20
_SMALLEST, _LARGEST = 32 * _MEGABYTE, 1024 * _MEGABYTE
_UNCUT = 256 * _MEGABYTE  # a smaller file is not worth a survey
_EVEN = 1.25  # no file is cut while no core has more than this times its share
_OPENING = _MEGABYTE // 4  # what opening a file costs, in bytes read: keeps a million tiny files from one task
_RANGE = 32 * _MEGABYTE  # small enough that the pieces fill the splits evenly


def too_large(files: Sequence[LogFile], cores: int) -> list[LogFile]:
    """The files that would keep one core busy while others have nothing left to do.

    They are larger than 256 MB, and larger than a quarter of a core's share of the work, so there are never more than four
    for each core. There are none if the work is spread evenly without cutting, because a survey costs a fifth of reading.

    >>> too_large([LogFile("a", 10 << 30), LogFile("b", 1 << 30)], cores=2)
    [LogFile(path='a', size=10737418240, modified=None, piece=None)]
    >>> too_large([LogFile("a", 10 << 30), LogFile("b", 10 << 30)], cores=2)
    []
    """
    if cores == 1:
        return []
    share = sum(file.size for file in files) // cores
    large = [file for file in files if file.size > max(_UNCUT, share // 4)]
    even = large and max(map(_load, _spread(files, cores))) * cores <= _load(files) * _EVEN
    return [] if even else large


def ranges(file: LogFile) -> list[tuple[int, int]]:
    """The start and stop of each range of a file. The ranges have the same size, except the last."""
    return list(pairwise([*range(0, file.size, _RANGE), file.size]))


def pieces(file: LogFile, layout: Layout, spans: Sequence[Span]) -> list[LogFile]:
    """The pieces of a file in order, made from what was found in its ranges; the file itself if there are fewer than two.

    A piece knows its first line's number and the layout in force there from the spans before it.

    Args:
        file: the file.
        layout: the layout of its first records.
        spans: the lines of its ranges, in order.
    """
    if [0, *(span.stop for span in spans)] != [*(span.start for span in spans), file.size]:
        return [file]  # it was changed meanwhile
    if sum(span.layouts for span in spans) >= LAYOUT_LIMIT:
        return [file]  # it may have too many to be a flow log, which is found out when it is read whole
    line, cut = 1, []
    for span in spans:
        if span.lines:
            cut.append(replace(file, piece=Piece(span.start, span.stop, line, layout)))
        line += span.lines
        layout = span.layout or layout
    return cut if len(cut) > 1 else [file]


def pack(files: Sequence[LogFile], cores: int) -> list[Split]:
    """The files and pieces in splits of about equal work, the heaviest split first; the same files give the same splits.

    A split is a core's share of the work, but at least 32 MB and at most 1 GB. So a small input does not pay for many
    tasks, each with a tally of its own, and no task of a large input outlives the others by much. If the splits take
    several rounds, there are enough to fill the last round too.

    Args:
        files: the log files, and pieces of such.
        cores: how many tasks run at a time.

    >>> splits = pack([LogFile(name, size << 20) for name, size in [("a", 10), ("b", 70), ("c", 20), ("d", 10)]], cores=2)
    >>> [[file.path for file in split] for split in splits]
    [['b'], ['c', 'a', 'd']]
    """
    work = sum(map(_weight, files))
    count = -(-work // min(max(-(-work // cores), _SMALLEST), _LARGEST))
    if count > cores:
        count = -(-count // cores) * cores
    splits = [split for split in _spread(files, min(len(files), count)) if split]
    return sorted(splits, key=lambda split: (-_load(split), split[0].path))


def _spread(files: Sequence[LogFile], count: int) -> list[Split]:
    """`count` splits of about equal work: each file, the heaviest first, goes into the split with the least work so far."""
    heap = [(0, number) for number in range(count)]
    splits: list[Split] = [[] for _ in range(count)]
    for file in sorted(files, key=lambda file: (-_weight(file), file.path, file.piece or ())):
        load, number = heap[0]
        splits[number].append(file)
        heapq.heapreplace(heap, (load + _weight(file), number))
    return splits


def _load(files: Sequence[LogFile]) -> int:
    return sum(map(_weight, files))


def _weight(file: LogFile) -> int:
    return (file.piece.stop - file.piece.start if file.piece else file.size) + _OPENING

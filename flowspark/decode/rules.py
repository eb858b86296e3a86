"""The decoder in plain Python: what kernel.c does, said as simply as can be. It runs where no compiled kernel fits."""

from __future__ import annotations

import re

from flowspark.decode.arrays import NO_PORT, NO_PROTOCOL, PORTS, Arrays, Bytes, Counts, Decoder, Ints
from flowspark.decode.blocks import Block
from flowspark.fields import FIELDS
from flowspark.layouts import split_line

FIELD_COUNT, BAD_STATUS, BAD_NUMBER, OUT_OF_RANGE = range(1, 5)
REASONS = ("", "field_count", "bad_log_status", "bad_number", "out_of_range")
"""The reasons for which a line is rejected, by their codes. If several apply, the lowest counts (rule 9)."""

FLOW, NODATA, SKIPDATA = range(3)

_VALUE = re.compile(rb"[^ \t]+")
_NUMBER = re.compile(rb"-?[0-9]+")
_NAME = re.compile(rb"[a-z][a-z0-9-]*")
_SHORTEST_HEADER = min(map(len, FIELDS))


class Rejected(Exception):
    """A line that is not a record; the code of the reason."""

    def __init__(self, code: int) -> None:
        self.code = code


def tokens(arrays: Arrays, block: Block) -> int:
    """Fills `ends`, `feeds` and `firsts` for a block, and returns the number of its lines."""
    texts = bytes(arrays.memory[block.start : block.stop]).split(b"\n")[:-1]
    ends: list[int] = []
    feeds, firsts, position = [block.start - 1], [0], block.start
    for line, text in enumerate(texts, 1):
        added = block.open_end and line == len(texts)
        content = text if added else text.removesuffix(b"\r")
        ends += [position + value.end() for value in _VALUE.finditer(content)]
        position += len(text) + 1
        feeds.append(position - 1)
        firsts.append(len(ends))
    arrays.ends[: len(ends)] = ends
    arrays.feeds[: len(feeds)] = feeds
    arrays.firsts[: len(firsts)] = firsts
    return len(texts)


def values_of(arrays: Arrays, line: int) -> list[bytes]:
    """The values of a line."""
    first, stop = arrays.firsts[line], arrays.firsts[line + 1]
    return split_line(bytes(arrays.memory[arrays.feeds[line] + 1 : arrays.ends[stop - 1]])) if first < stop else []


def number(text: bytes, low: int, high: int) -> int | None:
    """The number that a value spells with an optional minus and ASCII digits; None for `-`.

    Raises:
        Rejected: it is not a number, or not within the bounds.

    >>> number(b"00443", 0, 65535), number(b"-0", 0, 65535), number(b"-", 0, 65535)
    (443, 0, None)
    """
    if text == b"-":
        return None
    if not _NUMBER.fullmatch(text):
        raise Rejected(BAD_NUMBER)
    digits = text.lstrip(b"-").lstrip(b"0")[:20] or b"0"  # of a longer number, 20 digits show that it is too large
    value = -int(digits) if text.startswith(b"-") else int(digits)
    if not low <= value <= high:
        raise Rejected(OUT_OF_RANGE)
    return value


def record(values: list[bytes], arrays: Arrays) -> tuple[int, list[int | None]]:
    """What a line is, FLOW, NODATA or SKIPDATA (rule 1); and its numbers, in the order of `columns`.

    Raises:
        Rejected: it is not a record (rule 9).
    """
    if len(values) != arrays.work.fields:
        raise Rejected(FIELD_COUNT)
    status = values[arrays.work.status] if arrays.work.status >= 0 else b"-"
    if status not in (b"OK", b"NODATA", b"SKIPDATA", b"-"):
        raise Rejected(BAD_STATUS)
    numbers: list[int | None] = []
    reasons = []
    for place, low, high in arrays.columns:
        try:
            numbers.append(number(values[place], low, high) if place >= 0 else None)
        except Rejected as rejected:
            reasons.append(rejected.code)
    if reasons:
        raise Rejected(min(reasons))
    if status == b"NODATA" or (status == b"-" and None in numbers[:2]):
        return NODATA, numbers
    return SKIPDATA if status == b"SKIPDATA" else FLOW, numbers


def may_be_header(text: bytes) -> bool:
    """Whether all values of a line could be names of fields; no name is shorter than `end`."""
    names = split_line(text.removesuffix(b"\r"))
    return len(text) >= _SHORTEST_HEADER and all(map(_NAME.fullmatch, names))


def evaluate(arrays: Arrays, line: int, last: int) -> int:
    """Evaluates the lines from `line` to `last`, and returns the line to go on with.

    It stops early when an array is full, or after a rejected line that may be a header. Only rejected lines can be headers:
    a field's name is neither a log-status nor, if the layout has no log-status, a dstport.
    """
    work = arrays.work
    work.may_be_header = 0
    while line < last and not work.may_be_header:
        values = values_of(arrays, line)
        if values:
            if work.rows == work.most_rows or work.rejects == work.most_rejects:
                break
            try:
                kind, numbers = record(values, arrays)
            except Rejected as rejected:
                arrays.rejected[work.rejects] = line, rejected.code
                work.rejects += 1
                work.may_be_header = may_be_header(bytes(arrays.memory[arrays.feeds[line] + 1 : arrays.feeds[line + 1]]))
            else:
                _add_row(arrays, line, kind, numbers)
        else:
            work.blank += 1
        line += 1
    return line


def _add_row(arrays: Arrays, line: int, kind: int, numbers: list[int | None]) -> None:
    work = arrays.work
    arrays.lines[work.rows] = line
    for column, value in enumerate(numbers):
        arrays.values[column, work.rows] = value or 0
        arrays.missing[column, work.rows] = value is None
    if kind == FLOW:
        port = NO_PORT if numbers[0] is None else numbers[0]
        protocol = NO_PROTOCOL if numbers[1] is None else numbers[1]
        arrays.keys[work.flows] = protocol * PORTS + port
    work.flows += kind == FLOW
    work.nodata += kind == NODATA
    work.skipdata += kind == SKIPDATA
    work.rows += 1


def count(keys: Ints, table: Counts, seen: Bytes) -> None:
    """Counts each key in the table, and marks its protocol in `seen`."""
    for key in keys.tolist():
        table[key] += 1
        seen[key // PORTS] = 1


def texts(arrays: Arrays, place: int, edges: Ints, valid: Bytes) -> int:
    """Writes the texts of one column of all rows to `arrays.texts`, with Arrow's edges and validity for such a column.

    Returns 0 if all bytes are ASCII.
    """
    size = edges[0] = 0
    for row in range(arrays.work.rows):
        value = values_of(arrays, arrays.lines[row])[place]
        if value != b"-":
            valid[row // 8] |= 1 << row % 8
            arrays.texts[size : size + len(value)] = list(value)
            size += len(value)
        edges[row + 1] = size
    return int(arrays.texts[:size].max(initial=0) > 127)


PYTHON = Decoder("python", tokens, evaluate, count, texts)

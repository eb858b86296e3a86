"""Turns rows into records: the kind of each row (rule 1), which rows are rejected and why (rule 9), and their values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from flowspark.decode import numbers as num
from flowspark.decode.blocks import Block
from flowspark.decode.numbers import Codes, Longs, Numbers
from flowspark.decode.tally import NO_PORT, NO_PROTOCOL, keys_of
from flowspark.decode.tokens import Lines, Mask, Positions, split
from flowspark.fields import FIELDS
from flowspark.layouts import Layout, header_layout

FLOW, NODATA, SKIPDATA, REJECTED = range(4)

DECISIVE = ("dstport", "protocol", "log-status")
"""The fields that every run reads. They decide what a record is, and a header in the middle of a file fails on them."""

FIELD_COUNT = 1
_SHORTEST_FIELD = min(map(len, FIELDS))
TEXT_LIMIT = 1000


class Reject(NamedTuple):
    """A rejected line: its number in the file (from 1), the reason, and its first 1,000 characters as they stand."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class Records:
    """The records of some lines that share one layout.

    Attributes:
        lines: the lines, and where their values stand.
        layout: the field names, in order.
        first_line: the number, in the file, of the first of the lines.
        kinds: FLOW, NODATA, SKIPDATA or REJECTED for each row; None when all are flows.
        numbers: the columns of numbers that were read, by field name.
        reasons: the code of the reason for which each row is rejected, or 0; None when no row is rejected.
    """

    lines: Lines
    layout: Layout
    first_line: int
    kinds: Codes | None
    numbers: dict[str, Numbers]
    reasons: Codes | None

    def count(self, kind: int) -> int:
        """How many rows are of a kind."""
        if self.kinds is None:
            return self.lines.rows if kind == FLOW else 0
        return int(np.count_nonzero(self.kinds == kind))

    @cached_property
    def refused(self) -> tuple[Positions, Codes]:
        """The rejected lines, counted from 0, in order; and the code of the reason of each."""
        odd, row_lines = self.lines.odd, self.lines.row_lines
        codes = np.full(len(odd), FIELD_COUNT, np.uint8)
        if self.reasons is None:
            return odd, codes
        rows = np.flatnonzero(self.reasons)
        lines = np.concatenate([odd, rows if row_lines is None else row_lines[rows]])
        order = np.argsort(lines, kind="stable")  # quick for two sorted halves
        return lines[order], np.concatenate([codes, self.reasons[rows]])[order]

    def rejects(self, most: int | None = None) -> Iterator[Reject]:
        """Yields the rejected lines in order, `most` at most; one at a time, because a block can be full of them."""
        lines, reasons = self.refused
        lines = lines[:most]
        texts = self.lines.texts(lines)
        for line, reason, text in zip(lines.tolist(), reasons[:most].tolist(), texts, strict=True):
            # a character has up to four bytes: with fewer bytes, the cut could change one of the first 1,000 characters
            shown = text[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT]
            yield Reject(self.first_line + line, num.REASONS[reason], shown)


def evaluate(block: Block, layout: Layout, wanted: frozenset[str], first_line: int) -> Records:
    """The records of a block whose lines have one layout. `wanted` are the fields to read beside the decisive ones."""
    lines = split(block, len(layout))
    columns: dict[str, Numbers] = {}
    reasons: Codes | None = None
    codes: Codes | None = np.full(lines.rows, num.NO_STATUS, np.uint8)
    for name in dict.fromkeys(layout):  # of a repeated field, the first column counts
        if name == "log-status":
            codes = num.statuses(block, *lines.column(layout.index(name)))
            if codes is not None:
                reasons = _first_reasons(reasons, (codes == num.OTHER_STATUS) * np.uint8(num.BAD_STATUS))
        elif (name in wanted or name in DECISIVE) and name in FIELDS and FIELDS[name].type != "string":
            columns[name] = num.numbers(block, *lines.column(layout.index(name)), FIELDS[name].bounds)
            reasons = _first_reasons(reasons, columns[name].reasons)
    return Records(lines, layout, first_line, _kinds(lines.rows, codes, columns, reasons), columns, reasons)


def _first_reasons(reasons: Codes | None, others: Codes | None) -> Codes | None:
    """Of two reasons for each row, the one that comes first in rule 9: the lower code, except for 0 (no reason)."""
    if reasons is None or others is None:
        return others if reasons is None else reasons
    one = np.uint8(1)
    first: Codes = np.minimum(reasons - one, others - one) + one  # 0 becomes 255, the largest, and then 0 again
    return first


def _kinds(rows: int, codes: Codes | None, columns: dict[str, Numbers], reasons: Codes | None) -> Codes | None:
    if codes is None and reasons is None:
        return None
    kinds = np.zeros(rows, np.uint8)
    if codes is not None:
        kinds[codes == num.NODATA] = NODATA
        kinds[codes == num.SKIPDATA] = SKIPDATA
        kinds[(codes == num.NO_STATUS) & _without_ports(rows, columns)] = NODATA
    if reasons is not None:
        kinds[reasons != 0] = REJECTED
    return kinds


def _without_ports(rows: int, columns: dict[str, Numbers]) -> Mask:
    """The rows that lack dstport or protocol."""
    without = np.zeros(rows, np.bool_)
    for name in ("dstport", "protocol"):
        if name not in columns:
            return np.ones(rows, np.bool_)
        missing = columns[name].missing
        if missing is not None:
            without |= missing
    return without


def headers(records: Records) -> list[tuple[int, Layout]]:
    """The header lines among the lines, counted from 0, with the layouts that they declare (rule 12).

    A header is always among the rejected lines: a field name is neither a log-status nor, if the layout has no log-status,
    a number for dstport.
    """
    lines, _ = records.refused
    if not len(lines):
        return []
    ends = records.lines.ends
    first_bytes = records.lines.block.data[ends[lines] + 1]
    long_enough = ends[lines + 1] - ends[lines] > _SHORTEST_FIELD
    # a header begins with a letter, maybe after blanks; most other rejected lines do not
    lines = lines[long_enough & ((first_bytes >= ord("a")) | (first_bytes <= ord(" ")))]
    layouts: dict[bytes, Layout | None] = {}  # a block may have the same line many times
    found = []
    for line, text in zip(lines.tolist(), records.lines.texts(lines), strict=True):
        if text not in layouts:
            layouts[text] = header_layout(text)
        if layout := layouts[text]:
            found.append((line, layout))
    return found


def flow_keys(records: Records) -> Longs:
    """The key of each flow: its dstport and protocol in one number."""
    ports, protocols = _filled(records, "dstport", NO_PORT), _filled(records, "protocol", NO_PROTOCOL)
    if records.kinds is not None:
        flows = records.kinds == FLOW  # the values of a rejected line are not a key
        ports, protocols = ports[flows], protocols[flows]
    return keys_of(ports, protocols)


def _filled(records: Records, name: str, missing: int) -> Longs:
    column = records.numbers.get(name)
    if column is None:
        return np.full(records.lines.rows, missing, np.int64)
    return column.values if column.missing is None else np.where(column.missing, missing, column.values)

"""Rows into records: what kind each row is (rule 1), which are rejected and why (rule 9), and their values."""

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
from flowspark.decode.tokens import Lines, Mask, split
from flowspark.fields import FIELDS
from flowspark.layouts import Layout, header_layout

FLOW, NODATA, SKIPDATA, REJECTED = range(4)

DECISIVE = ("dstport", "protocol", "log-status")
"""The fields that every run reads: they tell what a record is, and make a header in mid-file stand out."""

FIELD_COUNT = 1
TEXT_LIMIT = 1000


class Reject(NamedTuple):
    """A line that is no record: its number in the file, from 1, why, and its first 1,000 characters as they stand."""

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
        numbers: the columns of numbers that were asked for, by field name.
        reasons: why a row is rejected, by row.
    """

    lines: Lines
    layout: Layout
    first_line: int
    kinds: Codes | None
    numbers: dict[str, Numbers]
    reasons: dict[int, int]

    def line(self, row: int) -> int:
        """The line, from 0, of a row."""
        return row if self.lines.row_lines is None else int(self.lines.row_lines[row])

    def count(self, kind: int) -> int:
        """How many rows are of a kind."""
        if self.kinds is None:
            return self.lines.rows if kind == FLOW else 0
        return int(np.count_nonzero(self.kinds == kind))

    @cached_property
    def refused(self) -> dict[int, int]:
        """The reason of each line, from 0, that is no record, in the order of the lines."""
        reasons = dict.fromkeys(self.lines.odd.tolist(), FIELD_COUNT)
        reasons.update((self.line(row), reason) for row, reason in self.reasons.items())
        return dict(sorted(reasons.items()))

    def rejects(self) -> Iterator[Reject]:
        """The rejected lines, in order, one at a time: a block can be full of them."""
        texts = self.lines.texts(np.array([*self.refused], np.intp))
        for (line, reason), text in zip(self.refused.items(), texts, strict=True):
            # four bytes are the most that a character takes, and the fewest that leave the first 1,000 as they are
            shown = text[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT]
            yield Reject(self.first_line + line, num.REASONS[reason], shown)


def evaluate(block: Block, layout: Layout, wanted: frozenset[str], first_line: int) -> Records:
    """The records of a block whose lines have one layout; `wanted` are the fields to read beside the decisive ones."""
    lines = split(block, len(layout))
    columns: dict[str, Numbers] = {}
    reasons: dict[int, int] = {}
    codes: Codes | None = np.full(lines.rows, num.NO_STATUS, np.uint8)
    for name in dict.fromkeys(layout):  # of a repeated field, the first column counts
        if name == "log-status":
            codes = num.statuses(block, *lines.column(layout.index(name)))
            if codes is not None:
                for row in np.flatnonzero(codes == num.OTHER_STATUS).tolist():
                    reasons[row] = num.BAD_STATUS
        elif (name in wanted or name in DECISIVE) and name in FIELDS and FIELDS[name].type != "string":
            columns[name] = num.numbers(block, *lines.column(layout.index(name)), FIELDS[name].bounds)
            for row, reason in columns[name].reasons.items():
                reasons[row] = min(reason, reasons.get(row, reason))
    return Records(lines, layout, first_line, _kinds(lines.rows, codes, columns, reasons), columns, reasons)


def _kinds(rows: int, codes: Codes | None, columns: dict[str, Numbers], reasons: dict[int, int]) -> Codes | None:
    if codes is None and not reasons:
        return None
    kinds = np.zeros(rows, np.uint8)
    if codes is not None:
        kinds[codes == num.NODATA] = NODATA
        kinds[codes == num.SKIPDATA] = SKIPDATA
        kinds[(codes == num.NO_STATUS) & _without_ports(rows, columns)] = NODATA
    kinds[list(reasons)] = REJECTED
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
    """The header lines among the lines, from 0, with the layouts that they declare (rule 12).

    A header is always among the refused lines: its log-status is no status, and without one its dstport is no number.
    """
    lines = np.array([*records.refused], np.intp)
    first_bytes = records.lines.block.data[records.lines.ends[lines] + 1]
    lines = lines[(first_bytes >= ord("a")) | (first_bytes <= ord(" "))]  # as a header begins, maybe after blanks
    found = zip(lines.tolist(), map(header_layout, records.lines.texts(lines)), strict=True)
    return [(line, layout) for line, layout in found if layout]


def flow_keys(records: Records) -> Longs:
    """The key of each flow: its dstport and protocol in one number."""
    ports, protocols = _filled(records, "dstport", NO_PORT), _filled(records, "protocol", NO_PROTOCOL)
    if records.kinds is not None:
        flows = records.kinds == FLOW  # what a rejected line has there is no key
        ports, protocols = ports[flows], protocols[flows]
    return keys_of(ports, protocols)


def _filled(records: Records, name: str, missing: int) -> Longs:
    column = records.numbers.get(name)
    if column is None:
        return np.full(records.lines.rows, missing, np.int64)
    return column.values if column.missing is None else np.where(column.missing, missing, column.values)

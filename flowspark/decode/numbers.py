"""Numbers and statuses out of text: eight bytes at a time for whole columns, and exactly, one by one, for the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowspark.decode.blocks import Block, Words
from flowspark.decode.tokens import Mask, Positions

Longs = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]

BAD_STATUS, BAD_NUMBER, OUT_OF_RANGE = 2, 3, 4
"""Why a value rejects its line; the lowest number of a line is its reason (design rule 9; 1 is `field_count`)."""

REASONS = ("", "field_count", "bad_log_status", "bad_number", "out_of_range")

OK, NODATA, SKIPDATA, NO_STATUS, OTHER_STATUS = range(5)

_STATUS_WORDS = {
    text: int.from_bytes(text.encode().ljust(8, b"\0"), "little") for text in ("OK", "NODATA", "SKIPDATA", "-")
}
_NUMBER = re.compile(rb"-?[0-9]+")
_HYPHEN = 0x2D
_ZEROS = np.uint64(0x3030303030303030)
_HIGH_BITS = np.uint64(0x8080808080808080)
_OVER_NINE = np.uint64(0x7676767676767676)
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_QUADS = np.uint64(0x0000FFFF0000FFFF)
_EIGHT = np.uint64(8)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: a value for each row, the rows where it is missing, and the rows that it rejects, with why."""

    values: Longs
    missing: Mask | None
    reasons: dict[int, int]


def numbers(block: Block, starts: Positions, stops: Positions, bounds: tuple[int, int]) -> Numbers:
    """The numbers that stand between starts and stops: digits by whole columns, whatever else is there one by one."""
    lengths = stops - starts
    values, unsure = _digits(block, starts, lengths)
    over = values > bounds[1]
    if over.any():
        unsure |= over
    if not unsure.any():
        return Numbers(values, None, {})
    missing: Mask = (lengths == 1) & (block.data[starts] == _HYPHEN)
    reasons = {}
    for row in np.flatnonzero(unsure & ~missing).tolist():
        value = exact_number(block.data[starts[row] : stops[row]].tobytes(), bounds)
        if isinstance(value, Reason):
            reasons[row] = value.code
        else:
            values[row] = value
    return Numbers(values, missing if missing.any() else None, reasons)


def _digits(block: Block, starts: Positions, lengths: Positions) -> tuple[Longs, Mask]:
    """The values of up to sixteen digits, and where something else stands; there the value means nothing."""
    longest = int(lengths.max(initial=0))
    if longest <= 8:
        return _eight(block.words[starts], lengths)
    high, high_bad = _eight(block.words[starts], np.clip(lengths - 8, 0, 8))
    low, low_bad = _eight(block.words[starts + np.maximum(lengths - 8, 0)], np.minimum(lengths, 8))
    return high * 100_000_000 + low, high_bad | low_bad | (lengths > 16)


def _eight(words: Words, lengths: Positions) -> tuple[Longs, Mask]:
    """The numbers that the first `lengths` (0 to 8) bytes of each word spell, and where they are no digits."""
    shifts = (8 - lengths).astype(np.uint64) * _EIGHT
    digits = np.where(lengths > 0, (words ^ _ZEROS) << (shifts & np.uint64(63)), np.uint64(0))
    bad = (((digits + _OVER_NINE) | digits) & _HIGH_BITS) != 0
    pairs = (digits * np.uint64(10 * 256 + 1)) >> np.uint64(8)
    quads = ((pairs & _PAIRS) * np.uint64(100 * 65536 + 1)) >> np.uint64(16)
    eights = ((quads & _QUADS) * np.uint64(10_000 * 2**32 + 1)) >> np.uint64(32)
    return eights.astype(np.int64), bad


@dataclass(frozen=True)
class Reason:
    """Why a value is none."""

    code: int


def exact_number(text: bytes, bounds: tuple[int, int]) -> int | Reason:
    """The number that a value spells, read exactly: an optional minus and ASCII digits, leading zeros of any length.

    >>> exact_number(b"00443", (0, 65535)), exact_number(b"-0", (0, 65535))
    (443, 0)
    >>> exact_number(b"70000", (0, 65535)), exact_number(b"4_4", (0, 65535))
    (Reason(code=4), Reason(code=3))
    """
    if not _NUMBER.fullmatch(text):
        return Reason(BAD_NUMBER)
    digits = text.lstrip(b"-").lstrip(b"0") or b"0"
    if len(digits) > 19:
        return Reason(OUT_OF_RANGE)
    value = -int(digits) if text.startswith(b"-") else int(digits)
    return value if bounds[0] <= value <= bounds[1] else Reason(OUT_OF_RANGE)


def statuses(block: Block, starts: Positions, stops: Positions) -> Codes | None:
    """The log-status of each row, `OK` to `OTHER_STATUS`; None when all are OK. It is spelled exactly."""
    lengths = stops - starts
    shifts = np.clip(8 - lengths, 0, 8).astype(np.uint64) * _EIGHT
    words = (block.words[starts] << shifts) >> shifts
    if (words == _STATUS_WORDS["OK"]).all() and (lengths == 2).all():
        return None
    codes = np.full(len(words), OTHER_STATUS, np.uint8)
    for code, (text, word) in enumerate(_STATUS_WORDS.items()):
        codes[(words == np.uint64(word)) & (lengths == len(text))] = code
    return codes

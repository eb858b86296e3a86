"""Parses columns of numbers and log-statuses, eight bytes at a time (SWAR). Only very long numbers are read one by one."""

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
"""The codes of the reasons for which a value rejects its line. A line's reason is the lowest of its codes (rule 9); code 1
is `field_count`."""

REASONS = ("", "field_count", "bad_log_status", "bad_number", "out_of_range")

OK, NODATA, SKIPDATA, NO_STATUS, OTHER_STATUS = range(5)

_STATUS_WORDS = {
    text: int.from_bytes(text.encode().ljust(8, b"\0"), "little") for text in ("OK", "NODATA", "SKIPDATA", "-")
}
_NUMBER = re.compile(rb"-?[0-9]+")
_HYPHEN = 0x2D
_DIGITS = 16  # what two words hold
_ZEROS = np.uint64(0x3030303030303030)
_HIGH_BITS = np.uint64(0x8080808080808080)
_OVER_NINE = np.uint64(0x7676767676767676)
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_QUADS = np.uint64(0x0000FFFF0000FFFF)
_TENS, _HUNDREDS, _MYRIADS = np.uint64((10 << 8) + 1), np.uint64((100 << 16) + 1), np.uint64((10_000 << 32) + 1)
_TWO_BYTES = np.uint64(0xFFFF)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        values: the value of each row.
        missing: the rows without a value; None when each row has one.
        reasons: the code of the reason for which a value rejects its row, or 0; None when no row is rejected.
    """

    values: Longs
    missing: Mask | None
    reasons: Codes | None


def numbers(block: Block, starts: Positions, stops: Positions, bounds: tuple[int, int]) -> Numbers:
    """Parses one value of each row as a number.

    Args:
        block: the lines.
        starts: the position of each value's first byte.
        stops: the position after each value's last byte.
        bounds: the smallest and the largest number that the field may have.
    """
    lengths = stops - starts
    values, unsure = _digits(block, starts, lengths)
    if values.max(initial=0) > bounds[1]:
        unsure |= values > bounds[1]
    if not unsure.any():
        return Numbers(values, None, None)
    rows = np.flatnonzero(unsure)
    hyphens = (lengths[rows] == 1) & (block.data[starts[rows]] == _HYPHEN)
    missing: Mask | None = None
    if hyphens.any():
        missing = np.zeros(len(values), np.bool_)
        missing[rows] = hyphens
        rows = rows[~hyphens]
        if not len(rows):
            return Numbers(values, missing, None)
    values[rows], codes = _odd_numbers(block, starts[rows], lengths[rows], bounds)
    reasons: Codes | None = None
    if codes.any():
        reasons = np.zeros(len(values), np.uint8)
        reasons[rows] = codes
    return Numbers(values, missing, reasons)


def _odd_numbers(block: Block, starts: Positions, lengths: Positions, bounds: tuple[int, int]) -> tuple[Longs, Codes]:
    """Parses values that are not plain digits within the bounds: the number of each, and its reason code or 0.

    A file can be full of such values, so only those of more than 16 digits are read one by one.
    """
    minus = block.data[starts] == _HYPHEN
    firsts, sizes = starts + minus, lengths - minus
    values, no_digits = _digits(block, firsts, sizes)
    values[minus] *= -1
    codes = np.where(no_digits, np.uint8(BAD_NUMBER), np.uint8(0))
    codes[~no_digits & ((values < bounds[0]) | (values > bounds[1]))] = OUT_OF_RANGE
    for row in np.flatnonzero(sizes > _DIGITS).tolist():
        value = exact_number(block.data[starts[row] : starts[row] + lengths[row]].tobytes(), bounds)
        values[row], codes[row] = (0, value.code) if isinstance(value, Reason) else (value, 0)
    return values, codes


def _digits(block: Block, starts: Positions, lengths: Positions) -> tuple[Longs, Mask]:
    """Parses up to 16 digits of each row. The mask tells where there is something else; there the number means nothing."""
    if lengths.max(initial=0) <= 8:
        return _eight(block.words[starts] ^ _ZEROS, lengths)
    high = np.where(lengths > 8, block.words[starts] ^ _ZEROS, np.uint64(0))
    high_values, high_bad = _eight(high, np.clip(lengths - 8, 1, 8))
    low = block.words[starts + np.maximum(lengths - 8, 0)] ^ _ZEROS
    low_values, low_bad = _eight(low, np.minimum(lengths, 8))
    return high_values * 100_000_000 + low_values, high_bad | low_bad | (lengths > _DIGITS)


def _eight(digits: Words, lengths: Positions) -> tuple[Longs, Mask]:
    """Parses up to eight digits in each 64-bit word (SWAR). `digits` is overwritten.

    Args:
        digits: words of ASCII digits from which "0" was taken in each byte, so that a digit is a byte from 0 to 9.
        lengths: how many digits each word has, from its lowest byte on: 1 to 8.

    Returns the numbers, and a mask that tells where there is something else.
    """
    shifts = lengths << 3  # all of this works in place: new arrays would push each other out of the cache
    digits <<= np.subtract(64, shifts, out=shifts).view(np.uint64)
    over = digits + _OVER_NINE
    over |= digits
    over &= _HIGH_BITS
    digits *= _TENS
    digits >>= np.uint64(8)
    digits &= _PAIRS
    digits *= _HUNDREDS
    digits >>= np.uint64(16)
    digits &= _QUADS
    digits *= _MYRIADS
    digits >>= np.uint64(32)
    return digits.view(np.int64), over != 0


@dataclass(frozen=True)
class Reason:
    """Why a value is not a number that its field may have."""

    code: int


def exact_number(text: bytes, bounds: tuple[int, int]) -> int | Reason:
    """The number that a value of any length spells with an optional minus and ASCII digits; or the reason why it does not.

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
    """The code of each row's log-status, `OK` to `OTHER_STATUS`; None when all are OK. Capitals matter."""
    lengths = stops - starts
    other = np.flatnonzero((lengths != 2) | ((block.words[starts] & _TWO_BYTES) != _STATUS_WORDS["OK"]))
    if not len(other):
        return None
    codes = np.zeros(len(lengths), np.uint8)
    few = lengths[other]
    shifts = (64 - (np.minimum(few, 8) << 3)).view(np.uint64)
    words = (block.words[starts[other]] << shifts) >> shifts
    found = np.full(len(other), OTHER_STATUS, np.uint8)
    for code, (text, word) in enumerate(_STATUS_WORDS.items()):
        found[(words == np.uint64(word)) & (few == len(text))] = code
    codes[other] = found
    return codes

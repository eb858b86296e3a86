"""IANA protocol numbers: keywords, the aliases that people write, and the spelling of the output (data/protocols.csv)."""

from __future__ import annotations

import csv
import re
from importlib import resources

from flowspark.errors import did_you_mean


def _keywords() -> dict[int, str]:
    text = resources.files("flowspark").joinpath("data/protocols.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {int(row["number"]): row["keyword"].lower() for row in rows if row["keyword"]}


KEYWORDS = _keywords()
"""Lower-case IANA keyword by number; unassigned numbers, and those without a keyword, are absent."""

DEPRECATED = {13, 53, 95, 122}
"""The protocols whose keyword IANA marks, as in `ARGUS (deprecated)`; the mark is not part of the keyword."""

ALIASES = {
    "icmp6": 58,
    "icmpv6": 58,
    "ipencap": 4,
    "isis": 124,
    "mobility-header": 135,
    "ospf": 89,
}
_MARK = re.compile(r"[ \t]*\(deprecated\)\Z")
_NUMBERS = ALIASES | {keyword: number for number, keyword in KEYWORDS.items()}  # an IANA keyword wins over an alias


def protocol_number(text: str) -> int:
    """The number that a lookup's protocol cell means: a keyword or alias in any case, or a number (rule 2).

    A keyword that IANA marks as deprecated may have the mark.

    Raises:
        ValueError: unknown keyword, a number outside 0-255, or a mark that IANA does not give.

    >>> protocol_number("TCP"), protocol_number("icmpv6"), protocol_number("017"), protocol_number("ipip")
    (6, 58, 17, 94)
    >>> protocol_number("ARGUS (deprecated)")
    13
    >>> protocol_number("tpc")
    Traceback (most recent call last):
    ValueError: unknown protocol 'tpc' (did you mean tcp?); use an IANA keyword or a number from 0 to 255
    """
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        if len(digits) > 3 or int(digits) > 255:
            raise ValueError(f"protocol {text[:40]} is outside 0-255")
        return int(digits)
    word = text.lower()
    keyword = _MARK.sub("", word)
    if keyword not in _NUMBERS:
        hint = did_you_mean(keyword, _NUMBERS)
        raise ValueError(f"unknown protocol '{text[:40]}'{hint}; use an IANA keyword or a number from 0 to 255")
    number = _NUMBERS[keyword]
    if keyword != word and number not in DEPRECATED:
        raise ValueError(f"IANA does not mark protocol '{keyword}' as deprecated; write '{keyword}' alone")
    return number


def protocol_label(number: int) -> str:
    """How a protocol is written in results: its lower-case IANA keyword, or the number where there is none (rule 7).

    >>> protocol_label(6), protocol_label(253)
    ('tcp', '253')
    """
    return KEYWORDS.get(number, str(number))

"""Parses, checks and compiles the lookup table (`dstport,protocol,tag`). All faults are reported at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flowspark.errors import InputError, UsageError, did_you_mean
from flowspark.lookup_cells import lookup_cells, odd_blank
from flowspark.protocols import protocol_label, protocol_number

UNTAGGED = "Untagged"
ON_CONFLICT = ("all", "first", "last", "error")
_SHOWN = 1000
_T = TypeVar("_T")


@dataclass
class Lookup:
    """A compiled lookup table.

    Attributes:
        rows: the data rows of the file.
        mappings: (dstport, protocol number, tag), one for each key and tag, sorted.
        conflicts: the tags of each key that has more than one, in file order, before `on_conflict` has chosen.
        sha256: the SHA-256 of the file's bytes, in hex.
    """

    rows: int
    sha256: str
    mappings: list[tuple[int, int, str]] = field(default_factory=list)
    conflicts: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    @property
    def tags(self) -> int:
        """The number of different tags."""
        return len({tag for _, _, tag in self.mappings})


def parse_lookup(content: bytes, on_conflict: str = "all", where: str = "lookup") -> Lookup:
    """Compiles the bytes of a lookup file.

    Args:
        content: CSV with a header that names `dstport`, `protocol` and `tag`, in any case and order; UTF-8.
        on_conflict: which tags a key with several keeps: `all`, the `first`, the `last`; or an `error` (rule 5).
        where: the file's name, for messages.

    Raises:
        InputError: rows are bad, or the file is not such CSV, or, under `error`, keys have several tags. The message has
            the line number of every bad row, or every such key.
        UsageError: unknown `on_conflict`.

    >>> parse_lookup(b"dstport,protocol,tag\\n443,TCP,web\\n443,6,Web\\n").mappings
    [(443, 6, 'web')]
    """
    if on_conflict not in ON_CONFLICT:
        hint = did_you_mean(on_conflict, ON_CONFLICT)
        raise UsageError(f"unknown on_conflict '{on_conflict}'{hint}; use one of {', '.join(ON_CONFLICT)}")
    faults: list[str] = []
    spelled: dict[str, str] = {}
    keys: dict[tuple[int, int], dict[str, None]] = {}  # the tags of a key, in the order in which they first (or last) come
    rows = 0
    for line, cells in lookup_cells(content, where, faults):
        rows += 1
        row = _check_row(line, cells, faults)
        if row:
            port, protocol, tag = row
            spelled.setdefault(tag.lower(), tag)
            known = keys.setdefault((port, protocol), {})
            if on_conflict == "last":
                known.pop(tag.lower(), None)  # the last row in the file decides
            known[tag.lower()] = None
    if faults:
        raise InputError(_report(f"lookup {where} has {len(faults)} fault(s)", faults))
    lookup = Lookup(rows, hashlib.sha256(content).hexdigest())
    for key in sorted(keys):
        tags = list(keys[key])
        kept = {"all": tags, "first": tags[:1], "last": tags[-1:], "error": tags}[on_conflict]
        lookup.mappings += ((*key, spelled[tag]) for tag in kept)
        if len(tags) > 1:
            lookup.conflicts[key] = [spelled[tag] for tag in tags]
    lookup.mappings.sort()
    if on_conflict == "error" and lookup.conflicts:
        several = [
            f"port {port} {protocol_label(protocol)}: {shown_tags(tags)}"
            for (port, protocol), tags in lookup.conflicts.items()
        ]
        raise InputError(
            _report(f"lookup {where} gives {len(several)} key(s) several tags (on_conflict is error)", several)
        )
    return lookup


def shown_tags(tags: list[str]) -> str:
    """Tags for a message: the first ten, and how many more there are.

    >>> shown_tags(["a", "b"]), shown_tags([str(n) for n in range(12)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    return ", ".join(tags[:10]) + (f" and {len(tags) - 10:,} more" if len(tags) > 10 else "")


def _report(title: str, lines: list[str]) -> str:
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n  ".join([f"{title}; correct them and run again:", *lines[:_SHOWN], *more])


def _check_row(line: int, cells: list[str], faults: list[str]) -> tuple[int, int, str] | None:
    found: list[str] = []
    port = _read("dstport", cells[0], _port_number, found)
    protocol = _read("protocol", cells[1], protocol_number, found)
    tag = _read("tag", cells[2], _tag, found)
    faults.extend(f"line {line}: {fault}" for fault in found)
    return None if port is None or protocol is None or tag is None else (port, protocol, tag)


def _read(column: str, cell: str, parse: Callable[[str], _T], faults: list[str]) -> _T | None:
    """What `parse` makes of a cell, or None and a fault."""
    try:
        if not cell:
            raise ValueError(f"empty {column}")
        if odd := odd_blank(cell):
            raise ValueError(f"{column} {odd}")
        return parse(cell)
    except ValueError as error:
        faults.append(str(error))
        return None


def _port_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        low, hyphen, high = text.partition("-")
        is_range = hyphen and low.strip().isdigit() and high.strip().isdigit()
        what = f"a range of ports ('{text}') is not supported yet" if is_range else f"dstport '{text[:40]}' is no number"
        raise ValueError(f"{what}; give one port, 0 to 65535, a row")
    number = int(text.lstrip("0")[:6] or "0")  # Python refuses to read thousands of digits
    if number > 65535:
        raise ValueError(f"dstport {text[:40]} is outside 0-65535")
    return number


def _tag(text: str) -> str:
    if text.lower() == UNTAGGED.lower():
        raise ValueError(f"the tag {UNTAGGED} is what flows without a tag are called; choose another")
    return text

"""The lookup table (`dstport,protocol,tag`): parse, check, compile; all faults are reported at once."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowspark.errors import InputError, UsageError, did_you_mean
from flowspark.protocols import protocol_label, protocol_number

COLUMNS = ("dstport", "protocol", "tag")
UNTAGGED = "Untagged"
ON_CONFLICT = ("all", "first", "last", "error")
_SHOWN = 1000
_BEFORE_CELL = re.compile(r'"(?:[^"]|"")*"|(?:(?<=,)|^)[ \t]+', re.MULTILINE)  # a quoted text is passed over as it is


@dataclass
class Lookup:
    """A compiled lookup table.

    Attributes:
        rows: the data rows of the file.
        mappings: (dstport, protocol number, tag), one for each key and tag, sorted.
        conflicts: the tags of each key that has more than one, in file order, before `on_conflict` has chosen.
        sha256: of the file's bytes.
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
    """The compiled table of a lookup file's bytes.

    Args:
        content: CSV with a header that names `dstport`, `protocol` and `tag`, in any case and order; UTF-8.
        on_conflict: which tags a key with several keeps: `all`, the `first`, the `last`; or an `error` (rule 5).
        where: the file's name, for messages.

    Raises:
        InputError: with the line number of every bad row; or, under `error`, of every key with several tags.
        UsageError: unknown `on_conflict`.

    >>> parse_lookup(b"dstport,protocol,tag\\n443,TCP,web\\n443,6,Web\\n").mappings
    [(443, 6, 'web')]
    """
    if on_conflict not in ON_CONFLICT:
        hint = did_you_mean(on_conflict, ON_CONFLICT)
        raise UsageError(f"unknown on_conflict '{on_conflict}'{hint}; use one of {', '.join(ON_CONFLICT)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"lookup {where}, line {line}: not UTF-8 text; save the table as UTF-8") from error
    faults: list[str] = []
    spelled: dict[str, str] = {}
    keys: dict[tuple[int, int], dict[str, None]] = {}  # the tags of a key, in the order in which they first (or last) come
    rows = 0
    for line, cells in _cells(text, faults):
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


def _cells(text: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and the three cells, in the order of COLUMNS, of each row that has the header's number of cells."""
    places: list[int] = []
    width = 0
    for line, row in _rows(text, faults):
        if not places:
            names = [cell.lower() for cell in row]
            missing = [name for name in COLUMNS if name not in names]
            twice = [name for name in COLUMNS if names.count(name) > 1]
            if missing or twice:
                hints = "".join(did_you_mean(name, names) for name in missing)
                what = f"missing column(s) {', '.join(missing)}{hints}" if missing else f"column {twice[0]} comes twice"
                faults.append(f"line {line}: {what}; the header must name dstport, protocol and tag")
                return
            places, width = [names.index(name) for name in COLUMNS], len(row)
        elif len(row) != width:
            faults.append(f"line {line}: {len(row)} cell(s) where the header has {width}")
        else:
            yield line, [row[place] for place in places]
    if not places and not faults:
        faults.append("line 1: the file is empty; the header must name dstport, protocol and tag")


def _rows(text: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The CSV rows that are not blank, trimmed, each with the number of its first line."""
    text = _BEFORE_CELL.sub(lambda found: found[0] if found[0].startswith('"') else "", text.replace("\r\n", "\n"))
    lines = io.StringIO(text, newline="\n").readlines()
    reader = csv.reader(lines, skipinitialspace=True)
    done = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            faults.append(f"line {reader.line_num}: not CSV ({error})")
            return
        if row is None:
            return
        raw = "".join(lines[done : reader.line_num])
        first, done = done + 1, reader.line_num
        if raw.count('"') % 2:
            faults.append(f"line {first}: a quote is not closed")
        elif any(cell.strip(" \t") for cell in row):
            yield first, [cell.strip(" \t") for cell in row]


def _check_row(line: int, cells: list[str], faults: list[str]) -> tuple[int, int, str] | None:
    port, protocol, tag = cells
    found: list[str] = []
    port_number = number = 0
    if not port:
        found.append("empty dstport")
    elif not (port.isascii() and port.isdigit()):
        low, hyphen, high = port.partition("-")
        is_range = hyphen and low.strip().isdigit() and high.strip().isdigit()
        what = f"a range of ports ('{port}') is not supported yet" if is_range else f"dstport '{port[:40]}' is no number"
        found.append(f"{what}; give one port, 0 to 65535, a row")
    else:
        port_number = int(port.lstrip("0")[:6] or "0")  # Python refuses to read thousands of digits
        if port_number > 65535:
            found.append(f"dstport {port[:40]} is outside 0-65535")
    if not protocol:
        found.append("empty protocol")
    else:
        try:
            number = protocol_number(protocol)
        except ValueError as error:
            found.append(str(error))
    if not tag:
        found.append("empty tag")
    elif tag.lower() == UNTAGGED.lower():
        found.append(f"the tag {UNTAGGED} is what flows without a tag are called; choose another")
    faults.extend(f"line {line}: {fault}" for fault in found)
    return None if found else (port_number, number, tag)

"""Reads a lookup file as rows of cells: CSV with commas, in UTF-8. The error for any other form names it."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator

from flowspark.errors import InputError, did_you_mean
from flowspark.forms import form_of

COLUMNS = ("dstport", "protocol", "tag")

ODD_BLANKS = "\u00a0\u00ad\u1680" + "".join(map(chr, range(0x2000, 0x200C))) + "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
"""Characters that look like a space or like nothing: Unicode's spaces and its line and paragraph separators, the zero-width
space, the zero-width no-break space, the word joiner and the soft hyphen. At the ends of a cell they are blanks (rule 3).
Inside a cell they are faults, because two different tags would look alike. The zero-width joiners are characters like any
other: they belong inside emoji, and inside words of some scripts."""

_ODD = re.compile(f"[{ODD_BLANKS}]")
_BLANKS = " \t" + ODD_BLANKS
_BEFORE_CELL = re.compile(rf'"(?:[^"]|"")*"|(?:(?<=,)|^)[{_BLANKS}]+', re.MULTILINE)  # quoted text is passed over as it is
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
_COLUMNS_HINT = "the header must name dstport, protocol and tag"


def lookup_cells(content: bytes, where: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and three cells (in the order of COLUMNS) of each row that has as many cells as the header.

    Args:
        content: the file's bytes.
        where: its name, for messages.
        faults: the list to which the faults of single lines are added.

    Raises:
        InputError: the file as a whole is not CSV with commas, in UTF-8.
    """
    rows = _rows(_text(content, where), faults)
    line, header = next(rows, (1, []))
    declared = _declared_separator(header)
    if declared == ",":
        line, header = next(rows, (1, []))
    elif declared:
        name = _SEPARATORS.get(declared, f"'{declared}'")
        raise InputError(f"lookup {where} is separated by {name}, as its line 'sep=' says; save it as CSV with commas")
    other = _other_separator(header, lambda cells: _named(cells) > _named(header))
    if other:
        raise InputError(f"lookup {where} is separated by {_SEPARATORS[other]}; save it as CSV with commas")
    if not header:
        if not faults:
            faults.append(f"line 1: the file is empty; {_COLUMNS_HINT}")
        return
    names = [cell.lower() for cell in header]
    if fault := _header_fault(names):
        faults.append(f"line {line}: {fault}")
        return
    places, width = [names.index(name) for name in COLUMNS], len(header)
    for line, row in rows:
        if len(row) == width:
            yield line, [row[place] for place in places]
        else:
            other = _other_separator(row, lambda cells: len(cells) == width) if len(row) == 1 else None
            hint = f"; it is separated by {_SEPARATORS[other]}, write commas" if other else ""
            faults.append(f"line {line}: {len(row)} cell(s) where the header has {width}{hint}")


def odd_blank(cell: str) -> str | None:
    """The fault of a cell that has one of ODD_BLANKS in it, or None.

    >>> odd_blank("we\\u00a0b")
    "'we\\\\u00a0b' contains U+00A0 (NO-BREAK SPACE); write an ordinary space or remove it"
    """
    odd = _ODD.search(cell)
    if odd is None:
        return None
    shown = _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", cell)[:200]
    return f"'{shown}' contains U+{ord(odd[0]):04X} ({unicodedata.name(odd[0])}); write an ordinary space or remove it"


def _text(content: bytes, where: str) -> str:
    form = form_of(content.removeprefix(codecs.BOM_UTF8))
    if form:
        raise InputError(f"lookup {where} is {form.name}; save it as CSV with commas: plain UTF-8 text, not compressed")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"lookup {where}, line {line}: not UTF-8 text; save the table as UTF-8") from error


def _declared_separator(row: list[str]) -> str | None:
    """The separator that a first line `sep=;` declares, as Excel understands it; None for any other line.

    >>> _declared_separator(["sep=", ""]), _declared_separator(["sep=;"]), _declared_separator(["dstport"])
    (',', ';', None)
    """
    declared = re.fullmatch("sep=(.?)", ",".join(row), re.IGNORECASE)
    return (declared[1] or "\t") if declared else None  # a tab at the cell's end was trimmed as a blank


def _other_separator(row: list[str], fits: Callable[[list[str]], bool]) -> str | None:
    """The first separator other than a comma that cuts a line into cells that fit; None if there is none."""
    line = ",".join(row)
    return next((separator for separator in _SEPARATORS if fits(line.split(separator))), None)


def _named(cells: list[str]) -> int:
    """How many of the three columns are named in some cells."""
    return len({cell.strip(_BLANKS + '"').lower() for cell in cells} & {*COLUMNS})


def _header_fault(names: list[str]) -> str | None:
    missing = [name for name in COLUMNS if name not in names]
    twice = [name for name in COLUMNS if names.count(name) > 1]
    for name in names:
        if _ODD.sub("", name) in missing and (fault := odd_blank(name)):
            return f"column {fault}"
    if missing:
        hints = "".join(did_you_mean(name, names) for name in missing)
        return f"missing column(s) {', '.join(missing)}{hints}; {_COLUMNS_HINT}"
    return f"column {twice[0]} comes twice; {_COLUMNS_HINT}" if twice else None


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
            alone = "a carriage return stands alone; save the table with LF or CRLF line ends"
            what = alone if "\r" in lines[reader.line_num - 1] else f"not CSV ({error})"
            faults.append(f"line {reader.line_num}: {what}")
            return
        if row is None:
            return
        raw = "".join(lines[done : reader.line_num])
        first, done = done + 1, reader.line_num
        if raw.count('"') % 2:
            faults.append(f"line {first}: a quote is not closed")
        elif any(cell.strip(_BLANKS) for cell in row):
            yield first, [cell.strip(_BLANKS) for cell in row]

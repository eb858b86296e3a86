"""Finds the layout of a file: from its own header, from `--layout`, or because it is plainly in a default format of AWS.

A layout is the tuple of a record's field names, in order, with hyphens. A field may stand in it more than once: each of
its columns is a value of the record, and the first one counts. The `version` in a record says neither which fields it
has nor their order, so it only serves to recognise the two default formats.
"""

from __future__ import annotations

import re
from collections import Counter

from flowspark.errors import BadFile, UsageError, did_you_mean
from flowspark.fields import FIELDS, TRANSIT_GATEWAY, VERSIONS, field_name, fields_of_version
from flowspark.forms import bad_form, form_of_line, is_text

Layout = tuple[str, ...]

STATUSES = ("OK", "NODATA", "SKIPDATA")
SHORT_NAMES = {("tgw" if v == TRANSIT_GATEWAY else f"v{v}"): fields_of_version(v) for v in VERSIONS}
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_LIKELY_VALUE = re.compile(rb"-|OK|NODATA|SKIPDATA|ACCEPT|REJECT|.*[0-9].*", re.DOTALL)
_DEFAULTS = {"2": fields_of_version(2), str(TRANSIT_GATEWAY): fields_of_version(TRANSIT_GATEWAY)}


def split_line(line: bytes) -> list[bytes]:
    """The values of a line: blanks (space, tab) around and between them never matter (rule 3).

    >>> split_line(b" 2  123456789010\\teni-0a ")
    [b'2', b'123456789010', b'eni-0a']
    """
    return [value for value in line.replace(b"\t", b" ").split(b" ") if value]


def header_layout(line: bytes) -> Layout | None:
    """The layout that a header line declares, or None when the line is no header.

    All values of a header are names, and the different known fields among them are more than half of the values; the
    same test holds for the first line of a file and for later ones (rule 12).

    >>> header_layout(b"dstport protocol log-status new-field")
    ('dstport', 'protocol', 'log-status', 'new-field')
    >>> header_layout(b"2 123456789010 eni-0a 10.0.0.1") is None
    True
    """
    if not line.lstrip(b" \t")[:1].islower():
        return None
    try:
        names = tuple(value.decode("ascii") for value in split_line(line))
    except UnicodeDecodeError:
        return None
    known = len(FIELDS.keys() & set(names))
    return names if known * 2 > len(names) and all(map(_NAME.fullmatch, names)) else None


def default_layout(line: bytes) -> Layout | None:
    """The default format of AWS in which a record is plainly written, or None.

    Version 2 has 14 values, begins with `2` and ends with a valid status; Transit Gateway has 36, begins with `6` and
    has a valid status in its place.
    """
    values = split_line(line)
    layout = _DEFAULTS.get(values[0].decode("utf-8", "replace")) if values else None
    if layout is None or len(values) != len(layout):
        return None
    status = values[layout.index("log-status")].decode("utf-8", "replace")
    return layout if status in STATUSES else None


def parse_layout(text: str) -> Layout:
    """The layout that a person gives: `v2` … `v11`, `tgw`, or the field names with hyphens, underscores or as `${field}`.

    `$${field}`, the way in which Terraform escapes it, means the same.

    Raises:
        UsageError: no field, a word that is not a field name, or a layout that cannot be counted.

    >>> parse_layout("${dstport} ${protocol} ${log-status}")
    ('dstport', 'protocol', 'log-status')
    >>> len(parse_layout("v5"))
    29
    """
    if text.strip() in SHORT_NAMES:
        return SHORT_NAMES[text.strip()]
    words = re.sub(r"\$\$?\{([^{}]*)\}", r" \1 ", text).split()
    names = tuple(field_name(word) for word in words)
    if not names:
        raise UsageError(f"the layout is empty; give the field names in order, or one of {', '.join(SHORT_NAMES)}")
    if len(names) == 1 and names[0] not in FIELDS:
        hint = did_you_mean(names[0], [*SHORT_NAMES, *FIELDS])
        raise UsageError(
            f"unknown layout '{text}'{hint}; give the field names in order, or one of {', '.join(SHORT_NAMES)}"
        )
    for word, name in zip(words, names, strict=True):
        if not _NAME.fullmatch(name):
            raise UsageError(f"'{word}' in the layout is not a field name{did_you_mean(name.lower(), FIELDS)}")
    if not countable(names):
        raise UsageError("the layout has neither log-status nor both dstport and protocol: its flows cannot be counted")
    return names


def repeated_fields(layout: Layout) -> list[str]:
    """The fields that a layout names more than once, in order; the first column of each is the one that counts.

    >>> repeated_fields(("account-id", "bytes", "account-id", "dstport", "account-id"))
    ['account-id']
    """
    return [name for name, times in Counter(layout).items() if times > 1]


def countable(layout: Layout) -> bool:
    """Whether a layout tells what is a flow: it has log-status, or both dstport and protocol (rules 1 and 10)."""
    return "log-status" in layout or ("dstport" in layout and "protocol" in layout)


def check_countable(layout: Layout) -> Layout:
    """Returns the layout itself.

    Raises:
        BadFile: its flows cannot be counted.
    """
    if not countable(layout):
        raise BadFile(
            f"layout '{' '.join(layout)[:200]}' has neither log-status nor both dstport and protocol: "
            "its flows cannot be counted; leave the file out of the input"
        )
    return layout


def headerless_layout(line: bytes, given: Layout | None) -> Layout:
    """The layout of a file whose first line is a record: the one given, else a default format of AWS.

    Raises:
        BadFile: no layout was given and the line is in no default format; the message says what the file looks like.
    """
    layout = given or default_layout(line)
    if layout is None:
        count = len(split_line(line))
        problem = f"no layout: the file has no header, and its first line ({count} value(s)) is in no default format of AWS"
        raise no_records(line, problem, "give --layout for files without a header")
    return layout


def no_records(line: bytes, problem: str, layout_hint: str) -> BadFile:
    """The error for a file without a header in which no record was found.

    Args:
        line: its first line. If this line shows what the file is, the error says that instead of the problem.
        problem: what is wrong.
        layout_hint: what to do about `--layout`. It is added only if the line looks like a record, as only then it helps.
    """
    form = form_of_line(line)
    if form:
        return bad_form(form)
    hint = f"{layout_hint}, or " if _like_a_record(line) else ""
    return BadFile(f"{problem}; {hint}leave the file out of the input")


def _like_a_record(line: bytes) -> bool:
    """Whether a line is text of which half or more could be values of a record, or field names in another spelling."""
    values = split_line(line)
    fields = sum(field_name(value.decode("latin-1").lower()) in FIELDS for value in values)
    likely = fields + sum(map(bool, map(_LIKELY_VALUE.fullmatch, values)))
    return likely * 2 >= len(values) and is_text(line)

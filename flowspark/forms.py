"""Tells by its first bytes what a file is, if it is not text that flowspark can read. For logs and for the lookup."""

from __future__ import annotations

import re
from typing import NamedTuple

from flowspark.errors import BadFile

HEAD = 1024
"""How many of a file's first bytes are looked at: tar needs 265, all other forms fewer."""


class Form(NamedTuple):
    """A form of file that flowspark does not read.

    Attributes:
        name: as it stands in a message, with its article.
        remedy: how to make a text log out of it; empty if there is no simple way.
    """

    name: str
    remedy: str = ""


_UNPACK, _TO_UTF8 = "unpack it", "save it as UTF-8"
# a control byte near the start: a text may begin with the same letters as the form, but it has no such byte
_BINARY = rb"[^\x00-\x08\x0e-\x1f]{0,60}[\x00-\x08\x0e-\x1f]"
_ASCII = rb"[\t -~]"
_FORMS = [
    (re.compile(signature, re.DOTALL), form)
    for signature, form in (
        (rb".{257}ustar(\x00|  \x00)", Form("a tar archive", _UNPACK)),
        (rb"PK\x03\x04.*xl/workbook\.", Form("an Excel file (xlsx)")),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", Form("a zip file", _UNPACK)),
        (rb"\xd0\xcf\x11\xe0", Form("an Excel file (xls) or another old Office file")),
        (rb"\x1f\x8b", Form("a gzip file", _UNPACK)),
        (rb"BZh[1-9](1AY&SY|%b)" % _BINARY, Form("a bzip2 file", _UNPACK)),
        (rb"\xfd7zXZ\x00", Form("an xz file", _UNPACK)),
        (rb"\x28\xb5\x2f\xfd", Form("a zstd file", _UNPACK)),
        (rb"\x04\x22\x4d\x18", Form("an lz4 file", _UNPACK)),
        (rb"\xff\x06\x00\x00sNaPpY", Form("a snappy file", _UNPACK)),
        (rb"7z\xbc\xaf\x27\x1c", Form("a 7z archive", _UNPACK)),
        (rb"PAR[1E]%b" % _BINARY, Form("a Parquet file")),
        (rb"ORC%b" % _BINARY, Form("an ORC file")),
        (rb"Obj\x01", Form("an Avro file")),
        (rb"(....){0,8}?((%b\x00\x00\x00){4}|(\x00\x00\x00%b){4})" % (_ASCII, _ASCII), Form("UTF-32 text", _TO_UTF8)),
        (rb"(..){0,8}?((%b\x00){4}|(\x00%b){4})" % (_ASCII, _ASCII), Form("UTF-16 text", _TO_UTF8)),
        (rb'\s*\{\s*"(message|messageType|owner|logGroup|logEvents)"', Form("JSON of CloudWatch or Firehose")),
        (rb'\s*(\{\s*"|\[\s*[{"])', Form("JSON")),
        (rb"\s*<(?i:!doctype|html|\?xml|!--)", Form("HTML or XML")),
    )
]
_LINE_FORMS = [
    (re.compile(pattern), form)
    for pattern, form in (
        (
            rb"[ \t]*\d{4}-\d\d-\d\dT[\d:.,]+(Z|[+-]\d\d:?\d\d)[ \t]",
            Form("a CloudWatch export with a time in front of each record", "remove the times"),
        ),
        (rb"[ \t]*<[A-Za-z]", Form("HTML or XML")),
        (rb'[ \t]*("|[^\s",;|]*[,;|]\S)', Form("CSV with commas, semicolons, bars or quotes")),
    )
]
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f]")


def form_of(data: bytes) -> Form | None:
    """The form that the first bytes of a file prove, or None if it may be the wanted text.

    >>> form_of(b"PK\\x03\\x04").name
    'a zip file'
    >>> form_of(b"2 123456789010 eni-0a") is None
    True
    """
    return next((form for signature, form in _FORMS if signature.match(data)), None)


def form_of_line(line: bytes) -> Form | None:
    """The likely form of a file in which no record was found, judged by its first line; or None.

    This is only a guess, because files that can be read may begin with such a line too.

    >>> form_of_line(b"timestamp,message").name
    'CSV with commas, semicolons, bars or quotes'
    """
    return next((form for pattern, form in _LINE_FORMS if pattern.match(line)), None) if is_text(line) else None


def is_text(line: bytes) -> bool:
    """Whether a line has no control characters, except tabs."""
    return not _CONTROL.search(line)


def bad_form(form: Form, *, in_gzip: bool = False) -> BadFile:
    """The error for a log file in a form that flowspark does not read.

    >>> print(bad_form(Form("a zip file", "unpack it")))
    this is a zip file, and flowspark reads text logs, plain or gzip; unpack it, or leave it out of the input
    """
    name = f"{form.name} inside gzip" if in_gzip else form.name
    remedy = f"{form.remedy}, or " if form.remedy else ""
    return BadFile(f"this is {name}, and flowspark reads text logs, plain or gzip; {remedy}leave it out of the input")


def check_form(head: bytes, *, in_gzip: bool) -> None:
    """Checks the first bytes of a log file. If the file is gzip (`in_gzip`), they are those of its content.

    Raises:
        BadFile: they are those of a form that flowspark does not read.
    """
    form = form_of(head)
    if form:
        raise bad_form(form, in_gzip=in_gzip)

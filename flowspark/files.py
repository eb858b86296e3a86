"""Log files and their paths: how one is described, spelled, and told from those of other storage."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from flowspark.errors import UsageError, did_you_mean
from flowspark.layouts import Layout

READERS = ("auto", "direct", "spark")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_GLOB = str.maketrans({char: f"\\{char}" for char in "\\*?[]{}"})


class Piece(NamedTuple):
    """Whole lines of a plain file that is read in pieces, side by side.

    Attributes:
        start: the position of the first byte.
        stop: the position after the last byte; the last piece ends where the file does.
        first_line: the number, in the file, of the first line.
        layout: the one in force at the start.
    """

    start: int
    stop: int
    first_line: int
    layout: Layout


@dataclass(frozen=True, slots=True)  # there may be a million of them
class LogFile:
    """A log file as listed: its path or URI, its bytes, and when it was last changed (ISO 8601, UTC); or a piece of it."""

    path: str
    size: int
    modified: str | None = None
    piece: Piece | None = None


@lru_cache(1 << 17)  # the seconds of a day: a million files share their texts
def utc_text(seconds: int) -> str:
    """Seconds since 1970 in ISO 8601.

    >>> utc_text(1700000000)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_local(uri: str) -> bool:
    """Whether a path or URI is on this machine's file system.

    >>> is_local("logs/a.log"), is_local("file:///logs"), is_local("s3://bucket/logs"), is_local("dbfs:/logs")
    (True, True, False, False)
    """
    return uri.startswith("file:") or not _SCHEME.match(uri)


def is_direct(uri: str) -> bool:
    """Whether flowspark itself can open a path or URI: local ones, and S3, as `s3://` or `s3a://`.

    >>> is_direct("logs"), is_direct("s3a://bucket/logs"), is_direct("gs://bucket/logs")
    (True, True, False)
    """
    return is_local(uri) or uri.startswith(("s3://", "s3a://"))


def local_path(uri: str) -> str:
    """The absolute path of a local path or `file:` URI.

    >>> local_path("file:///var/log//flows/"), local_path("file:/var/log/a%20b")
    ('/var/log/flows', '/var/log/a b')
    """
    path = unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    return os.path.abspath(path)  # noqa: PTH100  # Path.resolve would follow links: a file keeps the name it was given


def normal(uri: str) -> str:
    """One spelling of a path or URI, to compare and to report: local ones as absolute paths, no slash at the end."""
    return local_path(uri) if is_local(uri) else re.sub(r"(?<!:)/{2,}", "/", uri).rstrip("/")


def identity(uri: str) -> str:
    """What tells whether two paths or URIs are the same file or folder: `s3` and `s3a` are two names of one place.

    >>> identity("s3a://bucket/logs/") == identity("s3://bucket/logs")
    True
    """
    path = normal(uri)
    return f"s3:{path[4:]}" if path.startswith("s3a:") else path


def resolve_reader(reader: str, inputs: Sequence[str]) -> str:
    """`direct` or `spark`; `auto` is `direct` for local inputs and `spark` as soon as one is elsewhere, where Spark's own
    credentials are sure to do.

    Raises:
        UsageError: unknown reader, or `direct` for an input that it cannot open.
    """
    if reader not in READERS:
        raise UsageError(f"unknown reader '{reader}'{did_you_mean(reader, READERS)}; use one of {', '.join(READERS)}")
    closed = [uri for uri in inputs if not is_direct(uri)]
    if reader == "direct" and closed:
        raise UsageError(f"the direct reader opens local paths and S3, and {closed[0]} is neither; use --reader spark")
    return reader if reader != "auto" else "direct" if all(map(is_local, inputs)) else "spark"


def hidden(name: str) -> bool:
    """Whether a file or folder is left out, as Spark does, for the first character of its name."""
    return name.startswith(("_", "."))


def spark_path(path: str) -> str:
    """A path or URI as Spark's readers take it literally, with its pattern characters escaped."""
    return written_path(path).translate(_GLOB)


def written_path(path: str) -> str:
    """A path or URI as Spark's writers take it: literally, while its readers look for patterns (`spark_path`)."""
    return f"file://{path}" if path.startswith("/") else path


def reported_path(path: str) -> str:
    """A path as Spark names it, as flowspark reports it: local ones without their scheme.

    >>> reported_path("file:/logs/a.log"), reported_path("s3a://bucket/a.log")
    ('/logs/a.log', 's3a://bucket/a.log')
    """
    return "/" + path.removeprefix("file:").lstrip("/") if path.startswith("file:") else path

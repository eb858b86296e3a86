"""Log files and their paths: how a file is described, how a path is spelled, and on which storage it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from flowspark.errors import UsageError, did_you_mean
from flowspark.layouts import Layout

READERS = ("auto", "direct", "spark")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
ANY_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+(?=:/)|(?i:file|s3a|s3n|s3)(?=:)):")
_FILE_URI = re.compile(r"file:(?://(?:localhost)?(?=/))?(?P<path>.*)", re.DOTALL)
S3_URI = re.compile(r"(?P<scheme>s3a?)://(?P<bucket>[^/]*)/?(?P<key>.*)", re.DOTALL)
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


class Level(NamedTuple):
    """What a folder holds: its folders' names, its files, and whether it has a folder with an empty name (`folder//`)."""

    folders: list[str]
    files: list[LogFile]
    nameless: bool = False


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


def platform_uri(uri: str) -> str:
    """Returns a location in the form that Spark takes: on Databricks, `/Volumes/…` and `/dbfs/…` are `dbfs:/…`.

    There, both are folders only to Python and to a shell. Spark needs the URI, and does not take `file:/Volumes/…`.
    """
    if not on_databricks() or not is_local(uri):
        return uri
    path = local_path(uri)
    if path.startswith("/Volumes/"):
        return f"dbfs:{path}"
    return f"dbfs:{path.removeprefix('/dbfs')}" if path.startswith("/dbfs/") else uri


def is_workspace(uri: str) -> bool:
    """Whether a location is a workspace file of Databricks, which all machines can read, but only the driver can write."""
    return on_databricks() and is_local(uri) and local_path(uri).startswith("/Workspace/")


def is_direct(uri: str) -> bool:
    """Whether flowspark itself can open a path or URI: local ones, and S3, as `s3://` or `s3a://`.

    On Databricks only Spark has the rights to S3, and the sandbox of the Python workers has no network.

    >>> is_direct("logs"), is_direct("s3a://bucket/logs"), is_direct("gs://bucket/logs")
    (True, True, False)
    """
    return is_local(uri) or (uri.startswith(("s3://", "s3a://")) and not on_databricks())


def on_databricks() -> bool:
    """Whether this process runs on Databricks, whose runtime sets this variable everywhere."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def local_path(uri: str) -> str:
    """The absolute path of a local path or `file:` URI.

    >>> local_path("file:///var/log//flows/"), local_path("file:/var/log/a%20b")
    ('/var/log/flows', '/var/log/a b')
    """
    match = _FILE_URI.fullmatch(uri)
    path = os.path.abspath(unquote(match["path"]) if match else uri)  # noqa: PTH100  # Path.resolve would follow links
    return f"/{path.lstrip('/')}"  # two slashes in front stay otherwise


def normal(uri: str) -> str:
    """The one spelling of a path or URI for comparisons and reports: local paths are absolute, and no slash is at the end.

    Repeated slashes become one, as in Hadoop's own paths. On S3 they stay, because `a//b` and `a/b` are two keys there.

    >>> normal("hdfs:///logs//a/"), normal("s3://bucket/a//b/")
    ('hdfs:///logs/a', 's3://bucket/a//b')
    """
    if is_local(uri):
        return local_path(uri)
    scheme, slashes, path = re.split(r"(:/{1,3})", uri, maxsplit=1)
    path = path if S3_URI.match(uri) else re.sub("//+", "/", path)
    slashes = ":/" if scheme == "dbfs" else slashes  # it has no host
    return scheme + slashes + path.rstrip("/")


def identity(uri: str) -> str:
    """A text that is equal for all spellings of the same file or folder: `s3` and `s3a` are two names of one place.

    >>> identity("s3a://bucket/logs/") == identity("s3://bucket/logs")
    True
    """
    return file_identity(normal(uri))


def file_identity(path: str) -> str:
    """The identity of a listed file. It keeps a slash at the end, which is part of the key on S3."""
    return f"s3:{path[4:]}" if path.startswith("s3a:") else path


def check_reader(reader: str, inputs: Sequence[str]) -> None:
    """Checks that a reader is one of `READERS`, and that it can open the inputs.

    Raises:
        UsageError: unknown reader, or `direct` for an input that it cannot open.
    """
    if reader not in READERS:
        raise UsageError(f"unknown reader '{reader}'{did_you_mean(reader, READERS)}; use one of {', '.join(READERS)}")
    closed = [uri for uri in inputs if not is_direct(uri)]
    if reader == "direct" and closed:
        raise UsageError(
            f"the direct reader cannot open {closed[0]}: it opens local paths and, except on Databricks, S3; "
            "use --reader spark"
        )


def hidden(name: str) -> bool:
    """Whether a file or folder is skipped because of the first character of its name, as Spark skips it.

    `.` and `..` do not count: some keys on S3 have folders of these names.
    """
    return name.startswith(("_", ".")) and name not in (".", "..")


def unopenable(uri: str) -> bool:
    """Whether an S3 URI has a name that is empty, `.` or `..`. pyarrow and Spark drop such names, and ask for another key.

    >>> unopenable("s3://bucket/2026//a.log"), unopenable("s3://bucket/.../a.log"), unopenable("/logs/../a.log")
    (True, False, False)
    """
    match = S3_URI.fullmatch(uri)
    return match is not None and match["key"] != "" and not {"", ".", ".."}.isdisjoint(match["key"].split("/"))


def spark_path(path: str) -> str:
    """A path or URI in the form for Spark's readers: pattern characters are escaped, so that they are taken literally."""
    return written_path(path).translate(_GLOB)


def written_path(path: str) -> str:
    """A path or URI in the form for Spark's writers, which take it literally. For its readers, see `spark_path`."""
    return f"file://{path}" if path.startswith("/") else path


def reported_path(path: str) -> str:
    """Turns a path that Spark gives into the path that flowspark reports: local paths have no scheme.

    Spark writes one or three slashes where there is no host.

    >>> reported_path("file:/logs/a.log"), reported_path("dbfs:///logs/a.log"), reported_path("s3a://bucket/a.log")
    ('/logs/a.log', 'dbfs:/logs/a.log', 's3a://bucket/a.log')
    """
    return re.sub("^(?:file:|(dbfs:))/*", r"\1/", path)

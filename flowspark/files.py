"""Log files and their paths: how a file is described, how a path is spelled, and on which storage it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from flowspark.errors import UsageError, did_you_mean
from flowspark.layouts import Layout

READERS = ("auto", "direct", "spark")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_ANY_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+(?=:/)|(?i:file|s3a|s3n|s3)(?=:)):")
_FILE_URI = re.compile(r"file:(?://(?:localhost)?(?=/))?(?P<path>.*)", re.DOTALL)
_S3_URI = re.compile(r"(?P<scheme>s3a?)://(?P<bucket>[^/]*)/?(?P<key>.*)", re.DOTALL)
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
    path = path if _S3_URI.match(uri) else re.sub("//+", "/", path)
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


def check_location(name: str, uri: str) -> None:
    """Checks that a path or URI means the same to flowspark, to Spark, and to the person who wrote it.

    Raises:
        UsageError: it does not. The message begins with `name` (input, lookup, output), and has the right spelling.
    """
    fault = next(chain(_plain_faults(uri), _scheme_faults(uri), _typo_faults(uri), _s3_faults(uri)), None)
    if fault:
        raise UsageError(f"{name} '{uri}' {fault}")


def _plain_faults(uri: str) -> Iterator[str]:
    """What is wrong with a location whatever its scheme, and what to write instead."""
    if not uri.strip():
        yield "is empty; give a path or a URI"
    if "\0" in uri:
        yield "contains a NUL character, which no path can hold; remove it"
    if uri != uri.strip() and _ANY_SCHEME.match(uri.strip()):
        yield f"begins or ends with a blank; write {uri.strip()}"
    if re.search(r",\s*[A-Za-z][A-Za-z0-9+.-]+:/", uri):
        yield "is a list of several locations; give each one on its own (--input may be repeated)"
    if uri == "~" or uri.startswith("~/"):
        yield f"begins with '~', which only the shell can replace; write {Path(uri).expanduser()}"
    arn = re.fullmatch(r"(?:s3a?://)?arn:aws[a-z-]*:s3:::(.+)", uri, re.DOTALL)
    if arn:
        yield f"is an ARN, which is not a location; write s3://{arn[1]}"
    if re.match(r"(s3a?://)?arn:aws[a-z-]*:", uri):
        yield "is an ARN, which is not a location; write s3:// and the name of a bucket or an access point's alias"


def _scheme_faults(uri: str) -> Iterator[str]:
    """What is wrong with the scheme of a URI, or with a `file:` URI, and what to write instead."""
    match = _ANY_SCHEME.match(uri)
    if not match:
        return
    scheme, rest = match[1], uri[match.end() :]
    if scheme.lower() in ("http", "https"):
        yield f"is a web address; {_web_hint(uri)}"
    if scheme.lower() == "s3n":
        yield f"has the scheme of a connector that is gone; write s3://{rest.lstrip('/')}"
    if scheme != scheme.lower():
        yield f"has a scheme in capitals; write {scheme.lower()}:{rest}"
    if scheme in ("s3", "s3a") and not rest.startswith("//"):
        yield f"does not have two slashes after its scheme; write {scheme}://{rest.lstrip(':/')}"
    if scheme == "file":
        host, slash, path = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest)
        if host not in ("", "localhost"):
            yield f"names a host, '{host}'; write file:///{host}{slash}{path} or {host}{slash}{path}"
        if not slash + path:
            yield "names no file or folder; write file:/// and the whole path, or the plain path"
        if set(path) & set("?#"):
            yield f"contains '?' or '#', which end its path; write %3F and %23, or the plain path {unquote(slash + path)}"


def _typo_faults(uri: str) -> Iterator[str]:
    """What is wrong with a location that lacks the colon or the slashes of a URI, and would be a local path for that."""
    typo = re.match(r"(s3a?|hdfs|gs|abfss?|wasbs?|dbfs)(?:[.]?//|:(?!/))", uri)
    if typo:
        yield f"looks like a URI, but is a local path; write {typo[1]}://{uri[typo.end() :].lstrip(':/')} or ./{uri}"


def _s3_faults(uri: str) -> Iterator[str]:
    """What is wrong with the bucket or the key of an S3 URI, and what to write instead."""
    match = _S3_URI.fullmatch(uri)
    if not match:
        return
    scheme, bucket, key = match["scheme"], match["bucket"], match["key"]
    if not bucket:
        yield f"names no bucket; write {scheme}://BUCKET/{key.lstrip('/')}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", bucket):
        yield f"names a bucket, '{bucket}', that cannot exist; fill in its variable or template, or correct the name"
    if unopenable(uri.rstrip("/")):
        yield "has a folder whose name is empty, '.' or '..', which neither Spark nor pyarrow can open; correct the URI"


def _web_hint(url: str) -> str:
    """A hint at the S3 URI for the object at a web address, as far as the address tells it."""
    host, _, path = re.sub(r"[?#].*", "", url, flags=re.DOTALL).split("//", 1)[-1].partition("/")
    match = re.fullmatch(r"(?:(.+)\.)?s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?(?::\d+)?", host)
    if not match:
        return "download the file first, or write the s3:// URI of a bucket"
    return f"write s3://{match[1]}/{unquote(path)}" if match[1] else f"write s3://{unquote(path)}"


def resolve_reader(reader: str, inputs: Sequence[str]) -> str:
    """Returns `direct` or `spark`. `auto` is `direct` if all inputs are local.

    If one input lies elsewhere, `auto` is `spark`, because Spark's own credentials are sure to work there.

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
    """Whether a file or folder is skipped because of the first character of its name, as Spark skips it.

    `.` and `..` do not count: some keys on S3 have folders of these names.
    """
    return name.startswith(("_", ".")) and name not in (".", "..")


def unopenable(uri: str) -> bool:
    """Whether an S3 URI has a name that is empty, `.` or `..`. pyarrow and Spark drop such names, and ask for another key.

    >>> unopenable("s3://bucket/2026//a.log"), unopenable("s3://bucket/.../a.log"), unopenable("/logs/../a.log")
    (True, False, False)
    """
    match = _S3_URI.fullmatch(uri)
    return match is not None and match["key"] != "" and not {"", ".", ".."}.isdisjoint(match["key"].split("/"))


def spark_path(path: str) -> str:
    """A path or URI in the form for Spark's readers: pattern characters are escaped, so that they are taken literally."""
    return written_path(path).translate(_GLOB)


def written_path(path: str) -> str:
    """A path or URI in the form for Spark's writers, which take it literally. For its readers, see `spark_path`."""
    return f"file://{path}" if path.startswith("/") else path


def reported_path(path: str) -> str:
    """Turns a path that Spark gives into the path that flowspark reports: local paths have no scheme.

    >>> reported_path("file:/logs/a.log"), reported_path("s3a://bucket/a.log")
    ('/logs/a.log', 's3a://bucket/a.log')
    """
    return "/" + path.removeprefix("file:").lstrip("/") if path.startswith("file:") else path

"""List the log files under the inputs, and tell local paths from other storage."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flowspark.errors import InputError, UsageError, did_you_mean

READERS = ("auto", "direct", "spark")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_GLOB = str.maketrans({char: f"\\{char}" for char in "\\*?[]{}"})


@dataclass(frozen=True)
class LogFile:
    """A log file as listed: its path or URI, its bytes, and when it was last changed (ISO 8601, UTC)."""

    path: str
    size: int
    modified: str | None = None


def utc_text(seconds: float) -> str:
    """Seconds since 1970 in ISO 8601.

    >>> utc_text(1700000000)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_local(uri: str) -> bool:
    """Whether a path or URI is on this machine's file system.

    >>> is_local("logs/a.log"), is_local("file:///logs"), is_local("s3://bucket/logs"), is_local("dbfs:/logs")
    (True, True, False, False)
    """
    return uri.startswith("file:") or not _SCHEME.match(uri)


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


def resolve_reader(reader: str, inputs: Sequence[str]) -> str:
    """`direct` or `spark`; `auto` is `direct` for local inputs and `spark` as soon as one is elsewhere.

    Raises:
        UsageError: unknown reader, or `direct` for an input that it cannot open.
    """
    if reader not in READERS:
        raise UsageError(f"unknown reader '{reader}'{did_you_mean(reader, READERS)}; use one of {', '.join(READERS)}")
    remote = [uri for uri in inputs if not is_local(uri)]
    if reader == "direct" and remote:
        raise UsageError(f"the direct reader opens local paths only, and {remote[0]} is none; use --reader spark")
    return reader if reader != "auto" else "spark" if remote else "direct"


def list_local(uri: str) -> list[LogFile]:
    """The log files of a local input, a file or a folder searched to the bottom; hidden ones are left out.

    Raises:
        InputError: it does not exist, cannot be listed, or holds something that is no file.
    """
    root = local_path(uri)
    if not os.path.lexists(root):
        raise missing_input(uri)
    return list(_walk(root) if Path(root).is_dir() else [_describe(root)] * (not hidden(Path(root).name)))


def hidden(name: str) -> bool:
    """Whether a file or folder is left out, as Spark does, for the first character of its name."""
    return name.startswith(("_", "."))


def missing_input(uri: str) -> InputError:
    """The error for an input that is not there."""
    hint = "patterns are not expanded: give the folder, or several --input" if set(uri) & set("*?[{") else "check the path"
    return InputError(f"input {uri} does not exist; {hint}")


def empty_input(uri: str) -> InputError:
    """The error for an input without a log file."""
    return InputError(
        f"no log file under input {uri}: nothing is there, or only names that begin with '_' or '.', which are skipped; "
        "give another --input"
    )


def _walk(root: str) -> Iterator[LogFile]:
    def fail(error: OSError) -> None:
        raise InputError(f"folder {error.filename} cannot be listed: {error.strerror}") from error

    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not hidden(name)]
        yield from (_describe(f"{folder.rstrip('/')}/{name}") for name in names if not hidden(name))


def _describe(path: str) -> LogFile:
    try:
        status = Path(path).stat()
    except OSError:
        return LogFile(path, 0)  # the reader will say what is wrong with it
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file (a pipe, a socket or a device); copy the log into a file")
    return LogFile(path, status.st_size, utc_text(status.st_mtime))


def spark_path(path: str) -> str:
    """A path or URI as Spark's readers take it literally, with its pattern characters escaped."""
    return (f"file://{path}" if path.startswith("/") else path).translate(_GLOB)


def reported_path(path: str) -> str:
    """A path as Spark names it, as flowspark reports it: local ones without their scheme.

    >>> reported_path("file:/logs/a.log"), reported_path("s3a://bucket/a.log")
    ('/logs/a.log', 's3a://bucket/a.log')
    """
    return "/" + path.removeprefix("file:").lstrip("/") if path.startswith("file:") else path

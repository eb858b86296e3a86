"""Locations as a person writes them: which of them are refused because they could mean another place, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from flowspark.errors import UsageError
from flowspark.files import ANY_SCHEME, S3_URI, identity, is_local, normal, unopenable


def check_location(name: str, uri: str) -> None:
    """Checks that a path or URI means the same to flowspark, to Spark, and to the person who wrote it.

    Raises:
        UsageError: it does not. The message begins with `name` (input, lookup, output), and has the right spelling.
    """
    fault = next(chain(_plain_faults(uri), _scheme_faults(uri), _typo_faults(uri), _s3_faults(uri)), None)
    if fault:
        raise UsageError(f"{name} '{uri}' {fault}")


def check_output(output: str, inputs: Sequence[str]) -> None:
    """Checks that the output can be written, and does not overlap an input.

    Raises:
        UsageError: it lies inside an input, has an input inside it, is a file, or its folder cannot be written.
    """
    place = _place(output)
    for uri in inputs:
        root = _place(uri)
        if _inside(place, root) or _inside(root, place):
            raise UsageError(f"output {output} and input {uri} lie inside one another; write the output somewhere else")
    if is_local(output):
        existing = next(path for path in (Path(place), *Path(place).parents) if os.path.lexists(path))
        if not existing.is_dir():
            raise UsageError(f"output {output} cannot be written: {existing} is not a folder; give another --output")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise UsageError(f"output {output} cannot be written: no permission in {existing}; give another --output")


def _place(uri: str) -> str:
    return os.path.realpath(normal(uri)) if is_local(uri) else identity(uri)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _plain_faults(uri: str) -> Iterator[str]:
    """What is wrong with a location whatever its scheme, and what to write instead."""
    if not uri.strip():
        yield "is empty; give a path or a URI"
    if "\0" in uri:
        yield "contains a NUL character, which no path can hold; remove it"
    if uri != uri.strip() and ANY_SCHEME.match(uri.strip()):
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
    match = ANY_SCHEME.match(uri)
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
    if scheme == "dbfs" and re.match("//[^/]", rest):
        yield f"names a host, '{rest[2:].partition('/')[0]}'; write dbfs:/{rest[2:]}"
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
        slashes = "/" if typo[1] == "dbfs" else "//"
        yield f"looks like a URI, but is a local path; write {typo[1]}:{slashes}{uri[typo.end() :].lstrip(':/')} or ./{uri}"


def _s3_faults(uri: str) -> Iterator[str]:
    """What is wrong with the bucket or the key of an S3 URI, and what to write instead."""
    match = S3_URI.fullmatch(uri)
    if not match:
        return
    scheme, bucket, key = match["scheme"], match["bucket"], match["key"]
    if not bucket:
        yield f"names no bucket; write {scheme}://BUCKET/{key.lstrip('/')}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", bucket) or "FILL_IN" in bucket:  # as in the recipes below conf/
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

"""Lists, reads and writes files on Amazon S3, or on the S3 server that AWS_ENDPOINT_URL names, through pyarrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import IO, Any, cast
from urllib.parse import urlsplit

from flowspark.errors import VANISHED, BadFile, CannotList, Gone, Unreadable, one_line
from flowspark.files import Level, LogFile, hidden, unopenable, utc_text

_TRIES = 5
_UNOPENABLE = (
    "neither pyarrow nor Spark can open an object whose key ends in a slash, or has a folder whose name is empty, '.' or "
    "'..'; copy the object to another key"
)
_DENIED = re.compile(r"ACCESS_DENIED|HTTP status 403")
_NO_ACCESS = re.compile(rf"{_DENIED.pattern}|HTTP status 40[01]")  # a HEAD has no body to say that a token has expired
_NO_ACCESS_REMEDY = "; check the credentials of the machine that opens it, or let Spark open it (the reader 'spark')"


@dataclass(frozen=True)
class Endpoint:
    """An S3 server that is not Amazon's: its URL, and the region to sign requests for."""

    url: str
    region: str


def s3_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint | None:
    """The server that AWS_ENDPOINT_URL_S3, or else AWS_ENDPOINT_URL, names; None for Amazon's own.

    >>> s3_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_REGION": "eu-west-1"})
    Endpoint(url='http://127.0.0.1:9000', region='eu-west-1')
    """
    url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return Endpoint(url, default_region(environment) or "us-east-1") if url else None


def default_region(environment: Mapping[str, str] = os.environ) -> str | None:
    """The region that AWS_REGION, or else AWS_DEFAULT_REGION, names."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None


class S3:
    """A storage (storage.py): Amazon S3, or the S3 server that AWS_ENDPOINT_URL names, through pyarrow.

    Credentials come from the AWS SDK's own chain: the environment, a profile, the role of the machine or pod.

    Args:
        scheme: `s3` or `s3a`, as the person writes it.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = f"{scheme}://"

    def level(self, folder: str) -> Level:
        infos = [info for info in self._list(folder, recursive=False) if not hidden(info.base_name)]
        folders = [info for info in infos if not info.is_file]
        # if the folder has one with an empty name (`folder//`), pyarrow shows it as the folder itself
        names = sorted(info.base_name for info in folders if info.path.rstrip("/") != self._bare(folder))
        return Level(names, [self._file(info) for info in infos if info.is_file], nameless=len(names) < len(folders))

    def tree(self, root: str) -> Iterator[LogFile]:
        infos = self._list(root, recursive=True)
        if not infos:
            infos = [info for info in [self._info(root)] if info.is_file and not hidden(info.base_name)]
        start = len(self._bare(root))
        infos.reverse()
        # keys that the present one begins with: if a key comes a second time, it is one with a slash at its end, which
        # pyarrow does not show
        above: list[str] = []
        while infos:  # there may be a million: each is freed when its file is yielded
            info = infos.pop()
            if info.is_file and not any(map(hidden, info.path[start:].strip("/").split("/"))):
                file = self._file(info)
                while above and not file.path.startswith(above[-1]):
                    above.pop()
                yield replace(file, path=f"{file.path}/") if file.path in above else file
                above.append(file.path)

    def real(self, folder: str) -> str:
        return folder

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        from pyarrow import ArrowException

        from flowspark.s3_object import S3Object

        if unopenable(path):
            raise BadFile(_UNOPENABLE)
        try:
            return cast("IO[bytes]", S3Object(self._fs(path), self._bare(path), start, stop))
        except FileNotFoundError as error:
            raise self._absence(path) from error
        except (OSError, ArrowException) as error:
            remedy = _NO_ACCESS_REMEDY if _NO_ACCESS.search(str(error)) else ""
            raise Unreadable(f"cannot be opened: {one_line(error)}{remedy}") from error

    def _absence(self, path: str) -> BadFile:
        """Returns the error for a missing object: it is a folder, it was deleted, or the bucket does not exist here."""
        from pyarrow.fs import FileType

        bucket = self._bare(path).split("/", 1)[0]
        try:
            if self._info(path).type == FileType.Directory:
                return BadFile(_UNOPENABLE)
            if self._info(bucket).type == FileType.NotFound:
                return Unreadable(
                    f"cannot be opened: bucket {bucket} does not exist here; check AWS_ENDPOINT_URL and AWS_REGION"
                )
        except CannotList:
            pass
        return Gone(VANISHED)

    def exists(self, path: str) -> bool:
        from pyarrow.fs import FileType

        return bool(self._info(path).type != FileType.NotFound)

    def write(self, path: str, content: bytes) -> None:
        with self._fs(path).open_output_stream(self._bare(path), compression=None) as stream:
            stream.write(content)

    def remove(self, path: str) -> None:
        try:
            if self._info(path).is_file:
                self._fs(path).delete_file(self._bare(path))
            else:
                self._fs(path).delete_dir(self._bare(path))
        except FileNotFoundError:
            pass

    def _list(self, folder: str, *, recursive: bool) -> list[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._bare(folder), recursive=recursive, allow_not_found=True)
        with _listing(folder):
            infos: list[Any] = self._fs(folder).get_file_info(selector)
        return infos

    def _info(self, path: str) -> Any:
        with _listing(path):
            return self._fs(path).get_file_info(self._bare(path))

    def _file(self, info: Any) -> LogFile:
        return LogFile(f"{self._scheme}{info.path}", info.size, utc_text(info.mtime_ns // 1_000_000_000))

    def _bare(self, path: str) -> str:
        return path.removeprefix(self._scheme)

    def _fs(self, path: str) -> Any:
        return _s3_filesystem(self._bare(path).split("/", 1)[0])


@contextmanager
def _listing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotList(
            f"{path} cannot be listed: {one_line(error)}; check the bucket, its region, and what the credentials may do",
            denied=_DENIED.search(str(error)) is not None,
        ) from error


@lru_cache
def _s3_filesystem(bucket: str) -> Any:
    """pyarrow's S3 filesystem for a bucket, one per process: it is made in the worker that uses it, never before a fork."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    options: dict[str, Any] = {"retry_strategy": AwsStandardS3RetryStrategy(max_attempts=_TRIES), "connect_timeout": 10}
    endpoint = s3_endpoint()
    if endpoint:
        parts = urlsplit(endpoint.url)
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        return S3FileSystem(region=endpoint.region, **options)
    try:
        region = resolve_s3_region(bucket)  # the bucket's, which may differ from the one that the environment names
    except OSError as error:
        region = default_region()
        if region is None:
            raise CannotList(
                f"bucket {bucket}: its region cannot be found ({one_line(error)}); set AWS_REGION", denied=False
            ) from error
    return S3FileSystem(region=region, **options)

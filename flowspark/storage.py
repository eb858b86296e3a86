"""Where files lie that flowspark itself opens: local folders and S3; listed by level or to the bottom, read, written."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import urlsplit

from flowspark.aws import default_region, s3_endpoint
from flowspark.errors import BadFile, InputError
from flowspark.files import LogFile, hidden, is_local, utc_text

VANISHED = "vanished between listing and reading; run again"
DANGLING = "a link to a file that is not there; mend the link, or remove it"
_READ_AHEAD = 8 << 20  # bytes that one request to S3 brings; with none, each small read would be a request of its own
_TRIES = 5


class Storage(Protocol):
    """What a run asks of the place where files lie. Paths are whole: `/logs/a.log`, `s3://bucket/logs/a.log`."""

    def level(self, folder: str) -> tuple[list[str], list[LogFile]]:
        """The names of the folders in a folder, and its files, hidden ones left out; none where it does not exist.

        Raises:
            InputError: it cannot be listed, or holds something that is no file.
        """

    def tree(self, root: str) -> Iterator[LogFile]:
        """A file itself, or all files below a folder, hidden ones left out; none where it does not exist.

        Raises:
            InputError: as for `level`.
        """

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        """A file's bytes, or those from one position to another.

        Raises:
            BadFile: it cannot be opened.
        """

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""

    def touch(self, path: str) -> None:
        """Writes an empty file, with the folders that it needs, or gives the one that is there the time of now.

        Raises:
            OSError: it cannot be written.
        """

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that it holds; one that is not there is fine.

        Raises:
            OSError: it cannot be removed.
        """


def storage_of(path: str) -> Storage:
    """The storage of a path that is local or on S3; what lies elsewhere only Spark can open."""
    return Local() if is_local(path) else S3(urlsplit(path).scheme)


class Local:
    """This machine's file system."""

    def level(self, folder: str) -> tuple[list[str], list[LogFile]]:
        try:
            with os.scandir(folder) as entries:
                seen = sorted((entry.name, _is_folder(entry)) for entry in entries if not hidden(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        except OSError as error:
            raise InputError(f"folder {folder} cannot be listed: {error.strerror}") from error
        files = [_describe(f"{folder.rstrip('/')}/{name}") for name, is_folder in seen if not is_folder]
        return [name for name, is_folder in seen if is_folder], files

    def tree(self, root: str) -> Iterator[LogFile]:
        if Path(root).is_dir():
            yield from self._below(root, frozenset())
        elif os.path.lexists(root) and not hidden(Path(root).name):
            yield _describe(root)

    def _below(self, folder: str, above: frozenset[str]) -> Iterator[LogFile]:
        real = os.path.realpath(folder)
        if real in above:  # a link back to a folder above would never end
            return
        folders, files = self.level(folder)
        yield from files
        for name in folders:
            yield from self._below(f"{folder.rstrip('/')}/{name}", above | {real})

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        try:
            file = io.FileIO(path)
            file.seek(start)
        except FileNotFoundError as error:
            raise BadFile(DANGLING if Path(path).is_symlink() else VANISHED) from error
        except OSError as error:
            raise BadFile(f"cannot be opened: {error.strerror}") from error
        return file if stop is None else cast("IO[bytes]", _Part(file, stop - start))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def touch(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()

    def remove(self, path: str) -> None:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)


class _Part(io.RawIOBase):
    """The next bytes of a file, so many at most."""

    def __init__(self, file: io.FileIO, most: int) -> None:
        self._file, self._left = file, most

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        count = self._file.readinto(memoryview(memory)[: self._left])
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _describe(path: str) -> LogFile:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name of {path!r} is not UTF-8, and cannot be reported; rename the file") from error
    try:
        status = Path(path).stat()
    except OSError:
        return LogFile(path, 0)  # the reader will say what is wrong with it
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file (a pipe, a socket or a device); copy the log into a file")
    return LogFile(path, status.st_size, utc_text(int(status.st_mtime)))


class S3:
    """Amazon S3, and what speaks its protocol at AWS_ENDPOINT_URL, through pyarrow.

    Credentials come from the AWS SDK's own chain: the environment, a profile, the role of the machine or pod.

    Args:
        scheme: `s3` or `s3a`, as the person writes it.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = f"{scheme}://"

    def level(self, folder: str) -> tuple[list[str], list[LogFile]]:
        infos = [info for info in self._list(folder, recursive=False) if not hidden(info.base_name)]
        folders = sorted(info.base_name for info in infos if not info.is_file)
        return folders, [self._file(info) for info in infos if info.is_file]

    def tree(self, root: str) -> Iterator[LogFile]:
        infos = self._list(root, recursive=True)
        if not infos:
            infos = [info for info in [self._info(root)] if info.is_file and not hidden(info.base_name)]
        start = len(self._bare(root))
        infos.reverse()
        while infos:  # there may be a million: one goes as its file comes
            info = infos.pop()
            if info.is_file and not any(map(hidden, info.path[start:].strip("/").split("/"))):
                yield self._file(info)

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        from pyarrow import BufferedInputStream

        try:
            file = self._fs(path).open_input_file(self._bare(path))
            end = file.size() if stop is None else stop
            stream: IO[bytes] = BufferedInputStream(file.get_stream(start, end - start), _READ_AHEAD)
        except FileNotFoundError as error:
            raise BadFile(VANISHED) from error
        except OSError as error:
            raise BadFile(f"cannot be opened: {one_line(error)}") from error
        return stream

    def exists(self, path: str) -> bool:
        from pyarrow.fs import FileType

        return bool(self._info(path).type != FileType.NotFound)

    def touch(self, path: str) -> None:
        with self._fs(path).open_output_stream(self._bare(path)) as stream:
            stream.write(b"")

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
        raise InputError(
            f"{path} cannot be listed: {one_line(error)}; check the bucket, its region, and what the credentials may do"
        ) from error


@lru_cache
def _s3_filesystem(bucket: str) -> Any:
    """pyarrow's S3 for a bucket, one a process: made in the worker that uses it, never before a fork."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    options: dict[str, Any] = {"retry_strategy": AwsStandardS3RetryStrategy(max_attempts=_TRIES), "connect_timeout": 10}
    endpoint = s3_endpoint()
    if endpoint:
        parts = urlsplit(endpoint.url)
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        return S3FileSystem(region=endpoint.region, **options)
    try:
        region = resolve_s3_region(bucket)  # of the bucket, which need not be the one that the environment names
    except OSError as error:
        region = default_region()
        if region is None:
            raise InputError(f"bucket {bucket}: its region cannot be found ({one_line(error)}); set AWS_REGION") from error
    return S3FileSystem(region=region, **options)


def one_line(error: BaseException) -> str:
    """What a library says went wrong, on one line of bounded length."""
    return " ".join(str(error).split())[:500]

"""Lists, reads, writes and removes files where flowspark itself can: on this machine and on S3."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import urlsplit

from flowspark.errors import VANISHED, CannotList, Gone, InputError, Unreadable
from flowspark.files import Level, LogFile, hidden, is_local, utc_text
from flowspark.s3 import S3

DANGLING = "a link to a file that is not there; mend the link, or remove it"


class Storage(Protocol):
    """What a run needs of a place where files lie. Paths are whole: `/logs/a.log`, `s3://bucket/logs/a.log`."""

    def level(self, folder: str) -> Level:
        """What a folder holds, without hidden names; nothing if it does not exist.

        Raises:
            CannotList: it cannot be listed.
            InputError: it holds something that is not a file.
        """

    def tree(self, root: str) -> Iterator[LogFile]:
        """Yields a file itself, or all files below a folder, without hidden ones; none if it does not exist.

        Links are followed, and each real folder is listed once, under its own name where it has one below the root.

        Raises:
            InputError: as for `level`.
        """

    def real(self, folder: str) -> str:
        """A folder's name without links."""

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        """A file's bytes, or those from one position to another.

        Raises:
            BadFile: it cannot be opened.
        """

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""

    def write(self, path: str, content: bytes) -> None:
        """Writes a small file, with the folders that it needs, or replaces the one that is there.

        Raises:
            OSError: it cannot be written.
        """

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that it holds, if it is there.

        Raises:
            OSError: it cannot be removed.
        """


def storage_of(path: str) -> Storage:
    """The storage of a path that is local or on S3. Only Spark can open what lies elsewhere."""
    return Local() if is_local(path) else S3(urlsplit(path).scheme)


class Local:
    """This machine's file system."""

    def level(self, folder: str) -> Level:
        try:
            with os.scandir(folder) as entries:
                seen = sorted((entry.name, _is_folder(entry)) for entry in entries if not hidden(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return Level([], [])
        except OSError as error:
            denied = error.errno in (errno.EACCES, errno.EPERM)
            raise CannotList(f"folder {folder} cannot be listed: {error.strerror}", denied=denied) from error
        files = [_describe(f"{folder.rstrip('/')}/{name}") for name, is_folder in seen if not is_folder]
        return Level([name for name, is_folder in seen if is_folder], files)

    def tree(self, root: str) -> Iterator[LogFile]:
        if not Path(root).is_dir():
            if os.path.lexists(root) and not hidden(Path(root).name):
                yield _describe(root)
            return
        seen: set[str] = set()
        folders, links = [root], list[str]()
        while folders or links:
            folder = folders.pop() if folders else heappop(links)  # links last: a file keeps its real name
            real = self.real(folder)
            if real in seen:
                continue
            seen.add(real)
            level = self.level(folder)
            yield from level.files
            for name in level.folders:
                path = f"{folder.rstrip('/')}/{name}"
                if Path(path).is_symlink():
                    heappush(links, path)
                else:
                    folders.append(path)

    def real(self, folder: str) -> str:
        return os.path.realpath(folder)

    def open(self, path: str, start: int = 0, stop: int | None = None) -> IO[bytes]:
        try:
            file = io.FileIO(path)
            file.seek(start)
        except FileNotFoundError as error:
            raise Gone(DANGLING if Path(path).is_symlink() else VANISHED) from error
        except OSError as error:
            raise Unreadable(f"cannot be opened: {error.strerror}") from error
        return file if stop is None else cast("IO[bytes]", _Part(file, stop - start))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def write(self, path: str, content: bytes) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)

    def remove(self, path: str) -> None:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)


class _Part(io.RawIOBase):
    """A file that ends after `most` more bytes."""

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
        raise InputError(f"{path} is not a regular file (a pipe, a socket or a device); copy the log into a file")
    return LogFile(path, status.st_size, utc_text(int(status.st_mtime)))

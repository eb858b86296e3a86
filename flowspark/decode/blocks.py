"""Reads a file, decompressed, as blocks of whole lines, in memory that does not grow with the file."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import pyarrow as pa
from isal import igzip, isal_zlib

from flowspark.errors import BadFile, Unreadable, one_line
from flowspark.forms import HEAD, check_form

_GzipFile: Any = igzip.IGzipFile  # isal has no complete types
_CORRUPT: Any = (gzip.BadGzipFile, zlib.error, isal_zlib.error)

LINE_LIMIT = 1 << 20
"""The longest line, in bytes without its line end, that a flow log can have (rule 10)."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""

_BOM = b"\xef\xbb\xbf"
_CR = 13
_BLOCK = 1 << 19  # what is read at once: not more than a line may have, so that only a block's first line can be too long

ROOM = len(_BOM) + LINE_LIMIT + len(b"\r") + _BLOCK + len(b"\n")
"""How many bytes a block can have."""

SLACK = 64
"""How many bytes after a block are readable: kernel.c looks at 64 bytes at a time."""


class Block(NamedTuple):
    """Whole lines in the memory, from `start` to `stop`; the last byte is an LF. The next block overwrites them.

    `open_end`: the last line has no line end in the file. Its LF was added, and a CR before it is data.
    """

    start: int
    stop: int
    open_end: bool


class Counted(io.RawIOBase):
    """A binary file that counts the bytes that are read from it, because not every file can tell its position."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: Any = file  # typeshed does not know that it has readinto
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        count: int = self._file.readinto(memory)
        self.count += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def text_stream(raw: io.RawIOBase, *, plain: bool = False) -> Iterator[io.BufferedIOBase]:
    """Yields the file's text, and closes the file in the end.

    A file that begins with the first bytes of gzip is decompressed, whatever its name is. `plain` turns this off.
    """
    with io.BufferedReader(raw, 1 << 17) as stream:
        yield _GzipFile(fileobj=stream, mode="rb") if not plain and stream.peek(2)[:2] == GZIP else stream


def read_blocks(
    raw: IO[bytes], memory: bytearray, size: int | None = None, start: int = 0, stop: int | None = None
) -> Iterator[Block]:
    """The blocks of a binary file, plain or gzip (any number of members; zero bytes after the last are padding).

    Args:
        raw: the file, or its bytes from `start` to `stop`.
        memory: the memory to read into: ROOM + SLACK bytes. It serves any number of files, one after the other.
        size: the size with which the whole file was listed; None means: do not check it.
        start: the position in the file of the first byte of `raw`, where a line starts. Only 0 can have a BOM or gzip.
        stop: the position after the last byte of `raw`; None means the file's end.

    Raises:
        BadFile: the file is in a form that is not text, is cut or corrupt gzip, cannot be read, has a line longer than
            1 MiB, or does not have `size` bytes.
    """
    window = memoryview(memory)
    first, end = 0, 0  # where the first line starts, and the end of what was read
    begun = False
    counted = Counted(raw)
    try:
        with text_stream(counted, plain=start > 0) as stream:
            while count := stream.readinto(window[end : end + _BLOCK]):
                if not (begun or start):
                    if memory.startswith(_BOM) and count >= len(_BOM):
                        first = len(_BOM)
                    head = bytes(window[first : min(first + HEAD, end + count)])
                    check_form(head, in_gzip=not isinstance(stream, io.BufferedReader))
                begun = True
                end += count
                last = memory.rfind(b"\n", first, end)
                _check_first_line(memory, first, end)
                if last < 0:
                    continue
                yield Block(first, last + 1, False)
                rest = end - last - 1
                window[:rest] = window[last + 1 : end]
                first, end = 0, rest
    except EOFError as error:
        raise BadFile("the gzip ends too early: the file was cut, or something follows its end; fetch it again") from error
    except _CORRUPT as error:
        raise BadFile(f"corrupt gzip ({error}); fetch the file again") from error
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        # once a part was read, the rest is not refused, but broken
        raise Unreadable(f"cannot be read: {reason or one_line(error)}", refused=not counted.count) from error
    found = start + counted.count
    if size is not None and found != (stop or size):
        raise BadFile(f"was changed after it was listed: it had {size:,} bytes, and now has {found:,}; run again")
    if end > first:
        if end - first > LINE_LIMIT:
            raise _too_long()
        memory[end : end + 1] = b"\n"
        yield Block(first, end + 1, True)


def _check_first_line(memory: bytearray, first: int, end: int) -> None:
    if end - first <= LINE_LIMIT:
        return
    last = memory.find(b"\n", first, end)
    stop = end if last < 0 else last
    if stop - first - (memory[stop - 1] == _CR) > LINE_LIMIT:
        raise _too_long()


def _too_long() -> BadFile:
    return BadFile("not a flow log: a line is longer than 1 MiB; leave the file out of the input")

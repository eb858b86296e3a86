"""Reads a file, decompressed, as blocks of whole lines, in memory that does not grow with the file."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from isal import igzip, isal_zlib

from flowspark.errors import BadFile, Unreadable, one_line
from flowspark.forms import HEAD, check_form

_GzipFile: Any = igzip.IGzipFile  # isal has no complete types
_CORRUPT: Any = (gzip.BadGzipFile, zlib.error, isal_zlib.error)

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

LINE_LIMIT = 1 << 20
"""The longest line, in bytes without its line end, that a flow log can have (rule 10)."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""

_BLOCK = 1 << 20  # not longer than a line may be, so that only a block's first line can be too long
_KEPT = 24 << 20
_BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13
_WORD = 8


@dataclass(frozen=True)
class Block:
    """Whole lines. The arrays are views of a buffer that the next block overwrites.

    Attributes:
        data: the bytes; the first is the LF before the first line, the last is the LF that ends the last line.
        words: for each position, the eight bytes that start there, as one little-endian number.
        open_end: whether the last line has no line end in the file. If so, its LF was added, and a CR before it is data.
    """

    data: Bytes
    words: Words
    open_end: bool = False

    def part(self, first: int, last: int) -> Block:
        """The lines between two LFs, which are given by their positions."""
        end = last + 1
        return Block(self.data[first:end], self.words[first:end], self.open_end and end == len(self.data))


class Buffer:
    """The memory that blocks are read into; one serves any number of files, one after the other."""

    def __init__(self) -> None:
        room = len(_BOM) + 1 + LINE_LIMIT + 1 + _BLOCK + 1
        self.memory = bytearray(room + _WORD)
        self.data = np.frombuffer(self.memory, np.uint8)
        self.words = np.ndarray((room,), "<u8", self.memory, strides=(1,))
        self.memory[0] = _LF
        # Raises glibc's mmap threshold: once an array of this size was freed, the process keeps all freed arrays up to this
        # size. Otherwise the arrays of each block go back to the kernel, and their pages are mapped anew for the next.
        np.empty(_KEPT, np.uint8)

    def block(self, first: int, last: int, *, open_end: bool) -> Block:
        return Block(self.data[first : last + 1], self.words[first : last + 1], open_end)


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
    raw: IO[bytes], buffer: Buffer, size: int | None = None, start: int = 0, stop: int | None = None
) -> Iterator[Block]:
    """The blocks of a binary file, plain or gzip (any number of members; zero bytes after the last are padding).

    Args:
        raw: the file, or its bytes from `start` to `stop`.
        buffer: the memory to read into.
        size: the size with which the whole file was listed; None means: do not check it.
        start: the position in the file of the first byte of `raw`, where a line starts. Only 0 can have a BOM or gzip.
        stop: the position after the last byte of `raw`; None means the file's end.

    Raises:
        BadFile: the file is in a form that is not text, is cut or corrupt gzip, cannot be read, has a line longer than
            1 MiB, or does not have `size` bytes.
    """
    memory = buffer.memory
    window = memoryview(memory)
    first, end = 0, 1  # the LF before the first line, and the end of what was read
    begun = False
    counted = Counted(raw)
    try:
        with text_stream(counted, plain=start > 0) as stream:
            while count := stream.readinto(window[end : end + _BLOCK]):
                if not (begun or start):
                    if memory[1:4] == _BOM and count >= len(_BOM):
                        first = len(_BOM)
                        memory[first] = _LF
                    head = bytes(window[first + 1 : min(first + 1 + HEAD, end + count)])
                    check_form(head, in_gzip=not isinstance(stream, io.BufferedReader))
                begun = True
                end += count
                last = memory.rfind(b"\n", first + 1, end)
                _check_first_line(memory, first, end)
                if last < 0:
                    continue
                yield buffer.block(first, last, open_end=False)
                rest = end - last - 1
                memory[1 : 1 + rest] = memory[last + 1 : end]
                first, end = 0, 1 + rest
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
    if end > first + 1:
        if end - first - 1 > LINE_LIMIT:
            raise _too_long()
        memory[end] = _LF
        yield buffer.block(first, end, open_end=True)


def _check_first_line(memory: bytearray, first: int, end: int) -> None:
    if end - first - 1 <= LINE_LIMIT:
        return
    last = memory.find(b"\n", first + 1, end)
    stop = end if last < 0 else last
    if stop - first - 1 - (memory[stop - 1] == _CR) > LINE_LIMIT:
        raise _too_long()


def _too_long() -> BadFile:
    return BadFile("not a flow log: a line is longer than 1 MiB; leave the file out of the input")

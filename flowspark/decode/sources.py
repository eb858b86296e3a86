"""The files that a task is to read: handed over as paths, which flowspark opens itself, or as bytes that Spark has read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO

import pyarrow as pa

from flowspark.decode.arrays import Arrays
from flowspark.decode.reader import Audit, read_records
from flowspark.decode.records import Records
from flowspark.files import LogFile, Piece, reported_path, utc_text
from flowspark.layouts import Layout
from flowspark.storage import storage_of

SPLIT_SCHEMA = pa.schema([("files", pa.binary())])
"""The rows that tell a task which files to read (`split_bytes`)."""

_PIECE = pa.struct(
    [("start", pa.int64()), ("stop", pa.int64()), ("first_line", pa.int64()), ("layout", pa.list_(pa.string()))]
)
_FILES = pa.schema([("path", pa.string()), ("size", pa.int64()), ("modified", pa.string()), ("piece", _PIECE)])


@dataclass(frozen=True)
class Source:
    """A log file, or a piece of one, that a task is to read.

    Attributes:
        path: its name, as it is reported.
        size: its bytes, as listed.
        modified: when it was last changed, as listed.
        open: gives its bytes as a binary file.
        piece: the piece to read; None means the whole file.
    """

    path: str
    size: int
    modified: str | None
    open: Callable[[], IO[bytes]]
    piece: Piece | None = None

    def records(
        self, audit: Audit, arrays: Arrays, given: Layout | None, wanted: frozenset[str] = frozenset()
    ) -> Iterator[Records]:
        """Yields the records of the file or piece (see `read_records`)."""
        return read_records(self.open(), audit, arrays, given, wanted, self.size, piece=self.piece)


def split_bytes(files: Sequence[LogFile]) -> bytes:
    """A split's files as one compressed value, so that a million files pass through Spark as some thousand rows."""
    rows = ((file.path, file.size, file.modified, file.piece and file.piece._asdict()) for file in files)
    columns = zip(*rows, strict=True)
    table = pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, _FILES, strict=True)], schema=_FILES)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, _FILES, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_batch(table)
    return sink.getvalue()


def listed_sources(batches: Iterable[pa.RecordBatch]) -> Iterator[Source]:
    """The files and pieces of splits (`split_bytes`), opened by their paths."""
    for split in (value for batch in batches for value in batch.column(0)):
        columns = pa.ipc.open_stream(split.as_buffer()).read_all().columns
        for path, size, modified, row in zip(*(column.to_pylist() for column in columns), strict=True):
            piece = row and Piece(row["start"], row["stop"], row["first_line"], tuple(row["layout"]))
            span = (piece.start, piece.stop) if piece else (0, size)
            yield Source(path, size, modified, partial(open_span, path, size, *span), piece)


def open_span(path: str, size: int, start: int, stop: int) -> IO[bytes]:
    """Opens a listed file from one position to another. A `stop` at its listed end means its end as it is now.

    Raises:
        BadFile: it cannot be opened.
    """
    return storage_of(path).open(path, start, stop if stop < size else None)


def binary_sources(batches: Iterable[pa.RecordBatch]) -> Iterator[Source]:
    """The files whose bytes Spark has read: rows of path, modificationTime (microseconds), length and content."""
    for batch in batches:
        for path, modified, size, content in zip(*batch.columns, strict=True):
            data = content.as_buffer()
            name = reported_path(path.as_py())
            time = utc_text(modified.value // 1_000_000) if modified.is_valid else None  # as_py would need the time zone
            yield Source(name, size.as_py(), time, partial(pa.BufferReader, data))

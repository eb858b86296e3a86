"""Surveys large plain files, range by range: where to cut them, and the line number and the layout at each cut."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pyarrow as pa

from flowspark.decode import kernel
from flowspark.decode.arrays import Arrays
from flowspark.decode.batches import row_batches
from flowspark.decode.blocks import GZIP, LINE_LIMIT, Counted, read_blocks, text_stream
from flowspark.decode.reader import Audit, read_records, take_header
from flowspark.decode.sources import open_span
from flowspark.errors import BadFile, Unreadable, one_line
from flowspark.files import LogFile
from flowspark.layouts import Layout

RANGE_SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64()), ("start", pa.int64()), ("stop", pa.int64())])
"""The rows that tell a survey which range of which file to look at."""

SURVEY_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("lines", pa.int64()),
        ("layout", pa.list_(pa.string())),
        ("layouts", pa.int64()),
    ]
)
"""What a survey tells of a range: its file, and the fields of `Span`."""

_OPENING = 1 << 20


class Span(NamedTuple):
    """The lines that start in a range of a file.

    Attributes:
        start: the position of the first of them.
        stop: the position after the last one's LF, or the end of the file.
        lines: how many they are.
        layout: the layout of the last header among them; None without a header.
        layouts: how many different layouts their headers declare.
    """

    start: int
    stop: int
    lines: int
    layout: Layout | None
    layouts: int = 0


def opening_layout(file: LogFile, given: Layout | None) -> Layout | None:
    """The layout of a file's first records, as its first MiB shows it.

    None means: do not cut this file (gzip, or something suspicious in its first MiB). The file is then read whole, and that
    finds out what is wrong with it. A file must have a header or an accepted record (`read_records`). Its pieces are not
    checked for that, so its first MiB is.
    """
    audit = Audit()
    try:
        with _bytes(file.path, file.size, 0, min(file.size, _OPENING)) as stream:
            data = stream.read(_OPENING)
        if data.startswith(GZIP):
            return None
        for _ in read_records(io.BytesIO(data[: data.rfind(b"\n") + 1]), audit, Arrays(kernel.decoder()), given):
            pass
    except BadFile:
        return None
    return next(iter(audit.layouts), None)


def survey(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turns ranges of files (rows of `RANGE_SCHEMA`) into rows of `SURVEY_SCHEMA`. A range of a bad file has no row."""
    arrays = Arrays(kernel.decoder())
    for batch in batches:
        rows = []
        for path, size, start, stop in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            with suppress(BadFile):
                rows.append({"path": path} | survey_range(path, size, start, stop, arrays)._asdict())
        yield from row_batches(rows, SURVEY_SCHEMA)


def survey_range(path: str, size: int, start: int, stop: int, arrays: Arrays) -> Span:
    """Surveys a range of a plain file, as fast as lines can be counted, and in as little memory as reading takes.

    Raises:
        BadFile: the file cannot be read, was changed, or has a line or headers that no flow log has (rule 10).
    """
    first, last = (_line_start(path, size, position) for position in (start, stop))
    audit, layout = Audit(), None
    if first < last:
        arrays.use(None)  # without a layout, each line is rejected, and may be a header
        for block in read_blocks(open_span(path, size, first, last), arrays.memory, size, first, last):
            lines = arrays.take(block)
            audit.lines += lines
            line = 0
            while line < lines:
                line = arrays.evaluate(line)
                header = take_header(arrays, line)
                arrays.clear()
                if header:
                    layout = header
                    audit.use(layout)
    return Span(first, last, audit.lines, layout, len(audit.layouts))


def _line_start(path: str, size: int, position: int) -> int:
    """The position of the first line that starts at a position or after it; the file's end if there is none.

    Raises:
        BadFile: the file cannot be read, or has a line longer than 1 MiB.
    """
    if position in (0, size):
        return position
    end = min(size, position + LINE_LIMIT + len(b"\r\n"))
    with _bytes(path, size, position - 1, end) as stream:
        line = stream.readline(end - position + 1)
    if not line.endswith(b"\n") and end < size:
        raise BadFile("a line is longer than 1 MiB")
    return position - 1 + len(line)


@contextmanager
def _bytes(path: str, size: int, start: int, stop: int) -> Iterator[io.BufferedIOBase]:
    try:
        with text_stream(Counted(open_span(path, size, start, stop)), plain=True) as stream:
            yield stream
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(f"cannot be read: {one_line(error)}") from error

"""Decodes the files of a split, one after the other, into the record batches that a task hands over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flowspark.decode import kernel
from flowspark.decode.arrays import NO_PORT, NO_PROTOCOL, PORTS, Arrays
from flowspark.decode.batches import (
    REJECTED_LINE,
    number_array,
    record_batch,
    reject_arrays,
    reject_batch,
    repeated,
    row_batches,
)
from flowspark.decode.reader import Audit
from flowspark.decode.records import Rejects
from flowspark.decode.rules import REASONS
from flowspark.decode.sources import Source
from flowspark.decode.tally import Tally
from flowspark.errors import BadFile, Gone, Unreadable
from flowspark.fields import field_name
from flowspark.files import is_local
from flowspark.layouts import Layout

READ, SKIPPED = "read", "skipped"
REJECT_REASONS = REASONS[1:]

_COUNT = pa.struct([("dstport", pa.int32()), ("protocol", pa.int32()), ("flows", pa.int64())])
_FILE = pa.struct(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        *((name, pa.string()) for name in ("modified", "status", "error")),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("layouts", pa.list_(pa.string())),
        *((kind, pa.int64()) for kind in ("lines", "header", "blank", "flows", "nodata", "skipdata", *REJECT_REASONS)),
        ("rejects_stored", pa.int64()),
        ("refused", pa.bool_()),
        ("decoder", pa.string()),
    ]
)
_REJECT = pa.struct([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())])

SCAN_SCHEMA = pa.schema([("tally", pa.list_(_COUNT)), ("file", _FILE), ("rejects", pa.list_(_REJECT))])
"""The rows that a scan stores; in each, one of the three columns is set. A `file` is the audit of a file, or of its piece
from `start` to `stop`. `rejects_stored` counts its rows of `rejects`. For `refused`, see `BadFile`. The `decoder` is
`compiled` or `python`."""

REJECT_LIMIT = 100_000
"""How many rejected lines of a file, or of a piece of one, a scan stores at most: the first ones. All are counted."""

_MUCH_TEXT = 1 << 20  # characters of layouts in such rows
_MANY = 1000  # rows of Python objects that are handed over at once
# How many counts or rejects are in one row of the scan at most, and how many bytes of rejects. With one in each row, the
# nulls of the other columns would be stored as often. With many, memory would grow: Spark reads 4,096 rows of a Parquet
# file at once, however large they are.
_LIST, _TEXT = 64, 8000


def scan_split(sources: Iterable[Source], given: Layout | None) -> Iterator[pa.RecordBatch]:
    """The tally, the audits and the rejected lines of some files, as batches of `SCAN_SCHEMA`.

    A file counts whole or not at all: the counts of a bad file are dropped. Its rejected lines may already have been handed
    over, so whoever reads the scan leaves out the rejects of files that were not read.
    """
    arrays = Arrays(kernel.decoder())
    total = Tally(arrays.decoder)
    audits: list[dict[str, Any]] = []
    rejects: list[tuple[str, Rejects]] = []
    waiting = text = 0
    for source in sources:
        audit, tally, stored = Audit(), Tally(arrays.decoder), 0
        try:
            for records in source.records(audit, arrays, given):
                tally.add(records.keys)
                if some := min(arrays.work.rejects, REJECT_LIMIT - stored):
                    rejects.append((source.path, records.rejects(some)))
                    stored, waiting = stored + some, waiting + some
                    if waiting >= _MANY:
                        yield _reject_batch(rejects)
                        rejects, waiting = [], 0
        except BadFile as error:
            row = _audit_row(source, Audit(), SKIPPED, error, stored)
        else:
            total.merge(tally)
            row = _audit_row(source, audit, READ, None, stored)
        audits.append({"file": row | {"decoder": arrays.decoder.name}})
        text += audit.layout_text
        if len(audits) >= _MANY or text > _MUCH_TEXT:
            yield from row_batches(audits, SCAN_SCHEMA)
            audits, text = [], 0
    if rejects:
        yield _reject_batch(rejects)
    yield from row_batches(audits, SCAN_SCHEMA)
    yield from _tally_batches(total)


def read_split(
    sources: Iterable[Source],
    given: Layout | None,
    columns: Sequence[str],
    *,
    skip_bad_files: bool,
    one_machine: bool = True,
) -> Iterator[pa.RecordBatch]:
    """The records of some files, as batches of these columns. With the column `rejected`, rejected lines are rows too.

    Raises:
        BadFile: a file cannot be read to its end, and is not skipped; the message names it. With `skip_bad_files` each
            file is read twice, the first time only to know that it can be read to its end. A piece is never skipped,
            because other pieces of its file may have been read. A file that the storage did not hand over is not
            skipped either, because the storage may hand it over the next time. If not all executors are on the driver's
            machine (`one_machine`), a local file that is gone is not skipped: this executor may lack the file system.
    """
    arrays = Arrays(kernel.decoder())
    wanted = frozenset(field_name(column) for column in columns)
    for source in sources:
        try:
            if skip_bad_files and not source.piece:
                for _ in source.records(Audit(), arrays, given, wanted):
                    pass
            for records in source.records(Audit(), arrays, given, wanted):
                yield record_batch(records, source.path, columns)
                if REJECTED_LINE in columns and arrays.work.rejects:
                    yield reject_batch(records.rejects(), source.path, columns)
        except BadFile as error:
            unsure = isinstance(error, Unreadable) or (
                isinstance(error, Gone) and not one_machine and is_local(source.path)
            )
            if source.piece or not skip_bad_files or unsure:
                raise BadFile(f"{source.path}: {error}") from error


def _audit_row(source: Source, audit: Audit, status: str, error: BadFile | None, stored: int) -> dict[str, Any]:
    return {
        "path": source.path,
        "size": source.size,
        "modified": source.modified,
        "status": status,
        "error": error and str(error),
        "start": source.piece.start if source.piece else 0,
        "stop": source.piece.stop if source.piece else source.size,
        "layouts": [" ".join(layout) for layout in audit.layouts],
        "lines": audit.lines,
        "header": audit.header,
        "blank": audit.blank,
        "flows": audit.flows,
        "nodata": audit.nodata,
        "skipdata": audit.skipdata,
        **{reason: audit.reasons[reason] for reason in REJECT_REASONS},
        "rejects_stored": stored,
        "refused": error is not None and error.refused,
    }


def _tally_batches(tally: Tally) -> Iterator[pa.RecordBatch]:
    for keys, flows in tally.counts():
        protocols, ports = np.divmod(keys, PORTS)
        columns = [
            number_array(ports, pa.int32(), ports == NO_PORT),
            number_array(protocols, pa.int32(), protocols == NO_PROTOCOL),
            number_array(flows, pa.int64()),
        ]
        yield _lists("tally", columns, [*range(0, len(keys), _LIST), len(keys)])


def _reject_batch(rejects: Sequence[tuple[str, Rejects]]) -> pa.RecordBatch:
    """Rows of the scan with lists of rejected lines. A list has lines of one file, in order."""
    edges = [0]
    for file, some in rejects:
        step = min(_LIST, max(1, _TEXT // (len(file) + max(map(len, some.texts)))))
        edges += [edges[-1] + stop for stop in (*range(step, len(some.texts), step), len(some.texts))]
    files = pa.concat_arrays([repeated(file, len(some.texts)) for file, some in rejects])
    return _lists("rejects", [files, *reject_arrays([some for _, some in rejects])], edges)


def _lists(name: str, columns: list[pa.Array], edges: list[int]) -> pa.RecordBatch:
    """Rows of the scan in which only `name` is set. Each has a list of structs, made of these columns from edge to edge."""
    kind, count = SCAN_SCHEMA.field(name).type, len(columns[0])
    structs = pa.Array.from_buffers(kind.value_type, count, [None], children=columns)
    lists = pa.Array.from_buffers(kind, len(edges) - 1, [None, pa.py_buffer(np.array(edges, np.int32))], children=[structs])
    arrays = [lists if field.name == name else pa.nulls(len(lists), field.type) for field in SCAN_SCHEMA]
    return pa.record_batch(arrays, schema=SCAN_SCHEMA)

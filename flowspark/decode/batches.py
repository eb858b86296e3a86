"""Turns records into Arrow record batches in the versioned schema, with the requested columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json

from flowspark.decode.blocks import Bytes
from flowspark.decode.numbers import Longs
from flowspark.decode.records import REJECTED, Records, Reject
from flowspark.decode.tokens import Mask, Positions
from flowspark.fields import FIELDS, field_name
from flowspark.keys import key_facts

FILE, LINE, REJECTED_LINE, UNKNOWN_FIELDS = "file", "line", "rejected", "unknown_fields"

_ARROW = {"int": pa.int32(), "long": pa.int64(), "string": pa.string()}
_REJECTED_TYPE = pa.struct([("reason", pa.string()), ("text", pa.string())])
FILE_FACTS = {"file_account": "account", "file_region": "region", "file_flow_log_id": "flow_log_id", "file_time": "time"}
"""The columns for what a file's key tells, and the attribute of `keys.KeyFacts` that each of them holds."""
METADATA = {
    FILE: pa.string(),
    **dict.fromkeys(FILE_FACTS, pa.string()),
    LINE: pa.int64(),
    REJECTED_LINE: _REJECTED_TYPE,
    UNKNOWN_FIELDS: pa.map_(pa.string(), pa.string()),
}
"""The columns that are not fields of the log: where a record stands, why a line is rejected, and all unknown fields."""


def column_type(column: str) -> pa.DataType:
    """The Arrow type of a column; a field that the registry does not know is a string."""
    if column in METADATA:
        return METADATA[column]
    field = FIELDS.get(field_name(column))
    return _ARROW[field.type] if field else pa.string()


def arrow_schema(columns: Sequence[str]) -> pa.Schema:
    """The Arrow schema of record batches with these columns."""
    return pa.schema([(column, column_type(column)) for column in columns])


def row_batches(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yields rows of Python objects as one batch; no rows give no batch.

    The rows are passed as JSON, because `pa.array` would import pandas into each worker.
    """
    if rows:
        text = json.dumps({"rows": rows}).encode()
        how = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        as_rows = pa.schema([("rows", pa.list_(pa.struct(list(schema))))])
        what = arrow_json.ParseOptions(explicit_schema=as_rows, unexpected_field_behavior="error")
        found = arrow_json.read_json(pa.BufferReader(text), how, what).column("rows").chunk(0)
        yield pa.RecordBatch.from_struct_array(found.values)


def number_array(values: Longs, kind: pa.DataType, missing: Mask | None = None) -> pa.Array:
    """An Arrow array of numbers, made without `pa.array`, which would import pandas into each worker."""
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values.astype(kind.to_pandas_dtype()))])


def text_array(texts: Sequence[str]) -> pa.Array:
    """An Arrow array of texts, made without `pa.array` (see `number_array`)."""
    data = [text.encode() for text in texts]
    edges = np.zeros(len(data) + 1, np.int32)
    np.cumsum([len(text) for text in data], out=edges[1:])
    return pa.Array.from_buffers(pa.string(), len(data), [None, pa.py_buffer(edges), pa.py_buffer(b"".join(data))])


def reject_arrays(rejects: Sequence[Reject]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The numbers, reasons and texts of rejected lines, as three Arrow arrays."""
    lines, reasons, texts = zip(*rejects, strict=True)
    return number_array(np.array(lines, np.int64), pa.int64()), text_array(reasons), text_array(texts)


def record_batch(records: Records, file: str, columns: Sequence[str]) -> pa.RecordBatch:
    """One batch of the records that are not rejected. A value is null if it is `-`, or if the layout lacks its field."""
    rows = np.arange(records.lines.rows)
    if records.kinds is not None:
        rows = rows[records.kinds != REJECTED]
    return pa.record_batch([_column(records, rows, file, c) for c in columns], schema=arrow_schema(columns))


def reject_batch(rejects: Sequence[Reject], file: str, columns: Sequence[str]) -> pa.RecordBatch:
    """Rejected lines as rows: their file, line, reason and text; all fields of a record are null."""
    count = len(rejects)
    lines, reasons, texts = reject_arrays(rejects)
    values = {
        FILE: _repeated(file, count),
        **{column: _repeated(_fact(file, column), count) for column in FILE_FACTS if column in columns},
        LINE: lines,
        REJECTED_LINE: pa.StructArray.from_arrays([reasons, texts], fields=list(_REJECTED_TYPE)),
    }
    arrays = [values[c] if c in values else pa.nulls(count, column_type(c)) for c in columns]
    return pa.record_batch(arrays, schema=arrow_schema(columns))


def _column(records: Records, rows: Positions, file: str, column: str) -> pa.Array:
    if column == FILE or column in FILE_FACTS:
        return _repeated(file if column == FILE else _fact(file, column), len(rows))
    if column == LINE:
        lines = rows if records.lines.row_lines is None else records.lines.row_lines[rows]
        return pa.array(lines + records.first_line, pa.int64())
    if column == UNKNOWN_FIELDS:
        return _unknown_fields(records, rows)
    name = field_name(column)
    if name not in records.layout or column == REJECTED_LINE:
        return pa.nulls(len(rows), column_type(column))
    if name in records.numbers:
        read = records.numbers[name]
        mask = None if read.missing is None else read.missing[rows]
        return pa.array(read.values[rows], column_type(column), mask=mask, safe=False)
    return _strings(records, rows, records.layout.index(name))


def _fact(file: str, column: str) -> str | None:
    told: str | None = getattr(key_facts(file), FILE_FACTS[column])
    return told


def _repeated(text: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def _strings(records: Records, rows: Positions, place: int) -> pa.Array:
    """The texts of a column as an Arrow array, made in one pass over the bytes.

    Only if the bytes are not UTF-8 is there a Python object for each row.
    """
    data = records.lines.block.data
    starts, stops = (side[rows] for side in records.lines.column(place))
    missing: Mask = (stops - starts == 1) & (data[starts] == ord("-"))
    if not len(rows):
        return pa.array([], pa.string())
    edges = np.empty(2 * len(rows), np.int32)
    edges[::2], edges[1::2] = starts, stops
    # the spans are, by turns, a value and the bytes up to the next value: every other span is a value
    spans = pa.BinaryArray.from_buffers(
        pa.binary(), 2 * len(rows) - 1, [None, pa.py_buffer(edges), pa.py_buffer(np.ascontiguousarray(data))]
    )
    values = spans.take(pa.array(np.arange(0, 2 * len(rows), 2), mask=missing))
    return _decoded(values, data)


def _decoded(values: pa.Array, data: Bytes) -> pa.Array:
    if data.max() < 128:
        return values.view(pa.string())
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        texts = (value.as_py() for value in values)
        return pa.array([text if text is None else text.decode("utf-8", "replace") for text in texts], pa.string())


def _unknown_fields(records: Records, rows: Positions) -> pa.Array:
    """A map for each row, from the unknown fields to their values; null if the layout has no unknown field.

    Each name comes once, because Spark refuses maps with a repeated key. The first column of a repeated field counts.
    """
    fields = [name for name in dict.fromkeys(records.layout) if name not in FIELDS]
    if not fields:
        return pa.nulls(len(rows), METADATA[UNKNOWN_FIELDS])
    count, width = len(rows), len(fields)
    names = pa.array(fields, pa.string())
    texts = pa.concat_arrays([_strings(records, rows, records.layout.index(name)) for name in fields])
    by_row = np.arange(count * width).reshape(width, count).T.ravel()  # from column after column to row after row
    return pa.MapArray.from_arrays(
        pa.array(np.arange(count + 1) * width, pa.int32()),
        names.take(pa.array(np.tile(np.arange(width), count))),
        texts.take(pa.array(by_row)),
    )

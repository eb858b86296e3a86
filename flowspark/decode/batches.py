"""Turns records into Arrow record batches in the versioned schema, with the requested columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import json as arrow_json

from flowspark.decode.records import TEXT_LIMIT, Records, Rejects
from flowspark.decode.rules import REASONS
from flowspark.fields import FIELDS, field_name
from flowspark.keys import key_facts

Mask = npt.NDArray[np.bool_]

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


def number_array(values: npt.NDArray[Any], kind: pa.DataType, missing: Mask | None = None) -> pa.Array:
    """An Arrow array of numbers, made without `pa.array`, which would import pandas into each worker."""
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values.astype(kind.to_pandas_dtype()))])


def text_array(texts: Sequence[str]) -> pa.Array:
    """An Arrow array of texts, made without `pa.array` (see `number_array`)."""
    return _bytes_array([text.encode() for text in texts]).view(pa.string())


def _bytes_array(texts: Sequence[bytes | bytearray]) -> pa.Array:
    edges = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in texts], out=edges[1:])
    return pa.Array.from_buffers(pa.binary(), len(texts), [None, pa.py_buffer(edges), pa.py_buffer(b"".join(texts))])


def reject_arrays(rejects: Sequence[Rejects]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The numbers, reasons and texts of rejected lines, as three Arrow arrays; of a text, the first 1,000 characters."""
    lines, codes = (np.concatenate([some[column] for some in rejects]) for column in (0, 1))
    reasons = text_array(REASONS).take(number_array(codes, pa.int32()))
    return number_array(lines, pa.int64()), reasons, _shortened_array([text for some in rejects for text in some.texts])


def _shortened_array(texts: Sequence[bytearray]) -> pa.Array:
    """The first 1,000 characters of each text. Only if one is not UTF-8, or is long, are there Python's own texts."""
    if max(map(len, texts), default=0) <= TEXT_LIMIT:
        try:
            return _bytes_array(texts).cast(pa.string())
        except pa.ArrowInvalid:
            pass
    return text_array([text.decode("utf-8", "replace")[:TEXT_LIMIT] for text in texts])


def record_batch(records: Records, file: str, columns: Sequence[str]) -> pa.RecordBatch:
    """One batch of the records that are not rejected. A value is null if it is `-`, or if the layout lacks its field."""
    return pa.record_batch([_column(records, file, column) for column in columns], schema=arrow_schema(columns))


def reject_batch(rejects: Rejects, file: str, columns: Sequence[str]) -> pa.RecordBatch:
    """Rejected lines as rows: their file, line, reason and text; all fields of a record are null."""
    lines, reasons, texts = reject_arrays([rejects])
    count = len(lines)
    values = {
        FILE: repeated(file, count),
        **{column: repeated(_fact(file, column), count) for column in FILE_FACTS if column in columns},
        LINE: lines,
        REJECTED_LINE: pa.StructArray.from_arrays([reasons, texts], fields=list(_REJECTED_TYPE)),
    }
    arrays = [values[c] if c in values else pa.nulls(count, column_type(c)) for c in columns]
    return pa.record_batch(arrays, schema=arrow_schema(columns))


def _column(records: Records, file: str, column: str) -> pa.Array:
    arrays, rows = records.arrays, records.rows
    if column == FILE or column in FILE_FACTS:
        return repeated(file if column == FILE else _fact(file, column), rows)
    if column == LINE:
        return number_array(arrays.lines[:rows].astype(np.int64) + records.first_line, pa.int64())
    if column == UNKNOWN_FIELDS:
        return _unknown_fields(records)
    name = field_name(column)
    if name not in (arrays.layout or ()) or column == REJECTED_LINE:
        return pa.nulls(rows, column_type(column))
    if name in arrays.numbers:
        row = arrays.numbers[name]
        return number_array(arrays.values[row, :rows], column_type(column), arrays.missing[row, :rows].view(np.bool_))
    return _strings(records, name)


def _fact(file: str, column: str) -> str | None:
    told: str | None = getattr(key_facts(file), FILE_FACTS[column])
    return told


def repeated(text: str | None, count: int) -> pa.Array:
    """An Arrow array of one text, or of null, so many times."""
    if text is None:
        return pa.nulls(count, pa.string())
    return text_array([text]).take(number_array(np.zeros(count, np.int32), pa.int32()))


def _strings(records: Records, name: str) -> pa.Array:
    """The texts of a column. Only if they are not UTF-8 is there a Python object for each row."""
    arrays, rows = records.arrays, records.rows
    edges, valid = np.empty(rows + 1, np.int32), np.zeros(-(-rows // 8), np.uint8)
    assert arrays.layout
    other = arrays.decoder.texts(arrays, arrays.layout.index(name), edges, valid)
    buffers = [pa.py_buffer(valid), pa.py_buffer(edges), pa.py_buffer(arrays.texts[: edges[rows]].copy())]
    texts = pa.Array.from_buffers(pa.binary(), rows, buffers)
    if not other:
        return texts.view(pa.string())
    try:
        return texts.cast(pa.string())
    except pa.ArrowInvalid:
        values = (value.as_py() for value in texts)
        return pa.array([value if value is None else value.decode("utf-8", "replace") for value in values], pa.string())


def _unknown_fields(records: Records) -> pa.Array:
    """A map for each row, from the unknown fields to their values; null if the layout has no unknown field.

    Each name comes once, because Spark refuses maps with a repeated key. The first column of a repeated field counts.
    """
    rows = records.rows
    fields = [name for name in dict.fromkeys(records.arrays.layout or ()) if name not in FIELDS]
    if not fields:
        return pa.nulls(rows, METADATA[UNKNOWN_FIELDS])
    width = len(fields)
    texts = pa.concat_arrays([_strings(records, name) for name in fields])
    by_row = np.arange(rows * width).reshape(width, rows).T.ravel()  # from column after column to row after row
    return pa.MapArray.from_arrays(
        number_array(np.arange(rows + 1) * width, pa.int32()),
        text_array(fields).take(number_array(np.tile(np.arange(width), rows), pa.int64())),
        texts.take(number_array(by_row, pa.int64())),
    )

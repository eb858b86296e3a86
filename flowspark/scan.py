"""Spark: log files to DataFrames, by way of `mapInArrow`; the files travel as rows, never in a closure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql import types as T  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from flowspark.decode.batches import METADATA, UNKNOWN_FIELDS, arrow_schema
from flowspark.decode.split import SCAN_SCHEMA, Source, binary_sources, listed_sources, read_split, scan_split
from flowspark.errors import UsageError, did_you_mean
from flowspark.fields import FIELDS, column_name, field_name, fields_of_version
from flowspark.files import (
    LogFile,
    empty_input,
    hidden,
    list_local,
    missing_input,
    normal,
    reported_path,
    resolve_reader,
    spark_path,
    utc_text,
)
from flowspark.layouts import Layout, parse_layout
from flowspark.splits import pack

if TYPE_CHECKING:
    import pyarrow as pa

    Batches = Iterator[pa.RecordBatch]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogFiles:
    """The log files of a run, sorted by path; `binary` is set when Spark's binaryFile source hands over their bytes."""

    files: list[LogFile]
    binary: DataFrame | None = None


def find_files(spark: SparkSession, inputs: Sequence[str], reader: str = "auto") -> LogFiles:
    """All log files under the inputs, each once.

    Raises:
        InputError: an input does not exist, cannot be listed, or has no log file.
        UsageError: unknown reader, or one that cannot open the inputs.
    """
    roots = list(dict.fromkeys(normal(uri) for uri in inputs))
    frames: dict[str, DataFrame] = {}
    found: dict[str, LogFile] = {}
    direct = resolve_reader(reader, inputs) == "direct"
    for root in roots:
        if direct:
            files = list_local(root)
        else:
            frames[root], files = _find_binary(spark, root)
        if not files:
            raise empty_input(root)
        found.update((file.path, file) for file in files)
    outermost = [f for root, f in frames.items() if not any(root.startswith(f"{other}/") for other in roots)]
    binary = reduce(DataFrame.unionByName, outermost) if outermost else None
    return LogFiles([found[path] for path in sorted(found)], binary)


def _find_binary(spark: SparkSession, root: str) -> tuple[DataFrame, list[LogFile]]:
    """Spark's own reader over an input, and what it lists there. A classic session lists once, for both uses."""
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    # a file that vanishes leaves no row, and is named when the scan is compared with the listing
    reader = reader.option("ignoreMissingFiles", "true")
    try:
        frame = reader.load(spark_path(root)).select(
            "path", "length", F.unix_timestamp("modificationTime").alias("modified"), "content"
        )
        listed = {
            path: LogFile(path, row["length"], utc_text(row["modified"]))
            for row in frame.drop("content").collect()
            for path in [reported_path(row["path"])]
        }
        names = {reported_path(unquote(uri)) for uri in frame.inputFiles()}
    except AnalysisException as error:
        raise missing_input(root) from error
    empty = sorted(names - listed.keys())  # Spark's readers pass over files without a byte, and name no time for them
    if empty:
        frame = frame.unionByName(spark.createDataFrame([(path, 0, None, b"") for path in empty], frame.schema))
        listed |= {path: LogFile(path, 0) for path in empty}
    unseen = {path for path in listed if _hidden_below(path, root)}
    if unseen:
        frame = frame.where(~F.regexp_replace("path", "^file:/+", "/").isin(sorted(unseen)))
    return frame, [file for path, file in listed.items() if path not in unseen]


def _hidden_below(path: str, root: str) -> bool:
    """Whether a name below the input, or that of the input itself when it is a file, is one that is left out."""
    parts = path.removeprefix(root).strip("/").split("/") if path != root else [root.rsplit("/", 1)[-1]]
    return any(hidden(part) for part in parts if part)


def scan_files(spark: SparkSession, found: LogFiles, given: Layout | None) -> DataFrame:
    """The scan: one pass over all files, as rows of `tally`, `file` or `reject`, of which one is set (decode/split.py)."""

    def decode(sources: Iterator[Source]) -> Batches:
        return scan_split(sources, given)

    return _map_files(spark, found, decode, SCAN_SCHEMA)


def _map_files(
    spark: SparkSession, found: LogFiles, decode: Callable[[Iterator[Source]], Batches], schema: pa.Schema
) -> DataFrame:
    direct = found.binary is None
    open_sources = listed_sources if direct else binary_sources

    def run(batches: Batches) -> Batches:
        return decode(open_sources(batches))

    frame = _splits_frame(spark, found.files) if found.binary is None else found.binary
    return frame.mapInArrow(run, from_arrow_schema(schema))


def _splits_frame(spark: SparkSession, files: Sequence[LogFile]) -> DataFrame:
    """A row a split, each in a task of its own."""
    splits = pack(files)
    rows = [([(file.path, file.size, file.modified) for file in split],) for split in splits]
    schema = "files array<struct<path: string, size: bigint, modified: string>>"
    return spark.createDataFrame(rows, schema).coalesce(1).repartition(len(splits))


def flow_log_schema(version: int | None = None) -> T.StructType:
    """The versioned schema: the columns of all fields, or of those up to a version (6 is Transit Gateway's format).

    Raises:
        UsageError: there is no such version.

    >>> flow_log_schema(2).names[5:8]
    ['srcport', 'dstport', 'protocol']
    """
    try:
        names = fields_of_version(version) if version is not None else tuple(FIELDS)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return from_arrow_schema(arrow_schema([column_name(name) for name in names]))


def read_flow_logs(
    spark: SparkSession,
    inputs: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    layout: str | None = None,
    reader: str = "auto",
    on_bad_file: str = "fail",
) -> DataFrame:
    """The records of flow logs, one row each, in the versioned schema.

    Args:
        spark: the session, classic or Connect.
        inputs: files and folders, searched to the bottom.
        columns: the columns to read; only these are decoded. Names of the schema (`dstport`), of new fields that the
            registry does not know yet (read as strings), or `file` and `line` (where a record stands),
            `unknown_fields` (a map of all fields that the registry does not know), and `rejected` (reason and text:
            with it, rejected lines are rows too). Default: the whole schema and `unknown_fields`.
        layout: the layout of files without a header, as for `--layout`.
        reader: `auto`, `direct` or `spark`.
        on_bad_file: `fail`, or `skip` to leave out whole files that cannot be read to their end (design rule 10).

    Raises:
        InputError: an input does not exist or has no log file. A bad file fails the query that reads it.
        UsageError: an unknown option or layout, or a repeated column.
    """
    if on_bad_file not in ("fail", "skip"):
        raise UsageError(f"on_bad_file is 'fail' or 'skip', not '{on_bad_file}'")
    names = [*flow_log_schema().names, UNKNOWN_FIELDS] if columns is None else list(columns)
    _check_columns(names)
    given = parse_layout(layout) if layout else None
    skip = on_bad_file == "skip"

    def decode(sources: Iterator[Source]) -> Batches:
        return read_split(sources, given, names, skip_bad_files=skip)

    found = find_files(spark, [inputs] if isinstance(inputs, str) else inputs, reader)
    return _map_files(spark, found, decode, arrow_schema(names))


def _check_columns(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise UsageError(f"columns named twice: {', '.join(repeated)}" if repeated else "no column is asked for")
    known = [*flow_log_schema().names, *METADATA]
    for name in names:
        hint = did_you_mean(name, known)
        if name not in known and hint:
            log.warning("%s is no known field%s; it is read as a new one", field_name(name), hint)

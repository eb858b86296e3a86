"""Store the scan and publish the results: each interval in folders of its own, replaced whole, the summary last."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, DataFrameReader, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from flowspark.books import KINDS
from flowspark.decode.split import REJECT_REASONS, SCAN_SCHEMA
from flowspark.errors import InputError, UsageError, cause, one_line
from flowspark.files import LogFile, identity, is_direct, is_local, normal
from flowspark.lookup import UNTAGGED
from flowspark.previous import Previous
from flowspark.session import SPARK_ERRORS
from flowspark.storage import storage_of
from flowspark.turns import turn

log = logging.getLogger(__name__)

TAG_COUNTS, PORT_PROTOCOL_COUNTS, REJECTS, FILES, SUMMARY, SCAN = (
    "tag_counts",
    "port_protocol_counts",
    "rejects",
    "files",
    "summary",
    "_scan",
)

TOP = 20
_TABLES = {
    TAG_COUNTS: "tag string, count bigint",
    PORT_PROTOCOL_COUNTS: "dstport int, protocol string, count bigint",
    FILES: "path string, size bigint, modified string, status string, error string, layout string, "
    + ", ".join(f"{name} bigint" for name in (*KINDS, "rejected")),
}

_COUNTS = ", ".join(f"{name}: bigint" for name in ("files", *KINDS, "rejected"))
_REASONS = ", ".join(f"{reason}: bigint" for reason in REJECT_REASONS)
_CONFLICT = "dstport: int, protocol: string, tags: array<string>"
SUMMARY_SCHEMA = (
    "flowspark string, run_id string, interval string, started string, finished string, inputs array<string>, "
    "lookup struct<path: string, sha256: string, rows: bigint, mappings: bigint, tags: bigint, "
    f"conflicts: array<struct<{_CONFLICT}>>>, books struct<{_COUNTS}>, reject_reasons struct<{_REASONS}>, "
    "tagged bigint, untagged bigint, flows_without_ports bigint, bad_files array<struct<path: string, error: string>>, "
    "layouts array<struct<layout: string, files: bigint>>, unknown_fields array<string>, "
    "late_files array<string>, "
    "settings struct<input: array<string>, lookup: string, output: string, output_format: string, layout: string, "
    "reader: string, on_bad_file: string, max_reject_ratio: string, on_conflict: string, interval: string, "
    "account: array<string>, region: array<string>, flow_log_id: array<string>, allow_empty: boolean, "
    "skip_unchanged: boolean, retag: boolean, log_level: string>, scan string"
)


@dataclass(frozen=True)
class Top:
    """The first rows of a published result, the number of all its rows, and the flows without a tag in it."""

    rows: list[Row]
    total: int
    untagged: int


def check_output(output: str, inputs: Sequence[str]) -> None:
    """That the output can be written and is apart from the input.

    Raises:
        UsageError: it lies inside an input or the reverse, is a file, or its folder cannot be written.
    """
    place = _place(output)
    for uri in inputs:
        root = _place(uri)
        if _inside(place, root) or _inside(root, place):
            raise UsageError(f"output {output} and input {uri} lie inside one another; write the output somewhere else")
    if is_local(output):
        existing = next(path for path in (Path(place), *Path(place).parents) if os.path.lexists(path))
        if not existing.is_dir():
            raise UsageError(f"output {output} cannot be written: {existing} is no folder; give another --output")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise UsageError(f"output {output} cannot be written: no permission in {existing}; give another --output")


def _place(uri: str) -> str:
    return os.path.realpath(normal(uri)) if is_local(uri) else identity(uri)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class Output:
    """The folders of one interval under an output.

    Args:
        spark: the session that writes.
        root: the output's path or URI.
        label: the interval.
        file_format: `csv` or `parquet`.
    """

    def __init__(self, spark: SparkSession, root: str, label: str, file_format: str) -> None:
        self._spark = spark
        self._root = normal(root)
        self._label = label
        self._format = file_format

    def folder(self, name: str) -> str:
        """The interval's folder of a result."""
        return f"{self._root}/{name}/interval={self._label}"

    def check(self) -> None:
        """That Spark can reach the storage, before a scan is made that it could not store.

        Raises:
            UsageError: it cannot.
        """
        try:
            self._summary()
        except SPARK_ERRORS as error:
            raise UsageError(
                f"output {self._root} cannot be reached: {cause(error)}; check it, and what Spark's credentials may do"
            ) from error

    def store_scan(self, scan: DataFrame, run_id: str) -> str:
        """Writes the scan to a folder of this run's own, and returns the folder."""
        folder = f"{self.folder(SCAN)}/run={run_id}"
        with _one_record_a_batch(self._spark):
            scan.write.parquet(_uri(folder))
        return folder

    def load_scan(self, folder: str) -> DataFrame:
        """A stored scan.

        Raises:
            InputError: it is not there any more.
        """
        try:
            return self._spark.read.schema(from_arrow_schema(SCAN_SCHEMA)).parquet(_uri(folder))
        except AnalysisException as error:
            raise InputError(f"the stored scan {folder} is gone; run the interval again, from its logs") from error

    def remove_scans(self, current: str, replaced: str | None, before: str) -> None:
        """Removes the scan that was replaced, and those that runs from before some time have left; where only Spark can
        write, a lifecycle rule of the storage must do that."""
        if not is_direct(self._root):
            return
        storage, parent = storage_of(self._root), self.folder(SCAN)
        try:
            for name in storage.level(parent)[0]:
                folder = f"{parent}/{name}"
                if folder != current and (folder == replaced or name < f"run={before}"):
                    storage.remove(folder)
        except (OSError, InputError) as error:
            log.warning("old scans below %s could not be removed: %s; let a lifecycle rule do it", parent, one_line(error))

    def turn(self, run_id: str) -> AbstractContextManager[Callable[[], None]]:
        """The turn to publish the interval (see `turns.turn`)."""
        return turn(self.folder(SCAN), run_id)

    def previous(self) -> Previous | None:
        """The last complete run of the interval; None where there is none, or one was stopped while it published."""
        summary = self._summary()
        if summary is None:
            return None
        reader = self._reader(FILES, summary["settings"]["output_format"])
        rows = reader.load(_uri(self.folder(FILES))).select("path", "size", "modified", "error").collect()
        errors = {row["path"]: row["error"] for row in rows if row["error"]}
        return Previous(summary, [LogFile(*row[:3]) for row in rows], errors)

    def _summary(self) -> dict[str, Any] | None:
        try:
            rows = self._spark.read.schema(SUMMARY_SCHEMA).json(_uri(self.folder(SUMMARY))).collect()
        except AnalysisException:
            return None
        return rows[0].asDict(recursive=True) if rows else None

    def withdraw_summary(self) -> str | None:
        """Takes the summary back while the results that it speaks of are replaced; returns the scan that it named."""
        summary = self._summary()
        if summary is None:
            return None
        self._write_summary(None)
        return str(summary["scan"])

    def publish(self, name: str, df: DataFrame, order: list[Column]) -> None:
        """Replaces a result by the rows of a DataFrame, in order, as one part file."""
        writer = df.repartition(1).sortWithinPartitions(*order).write.mode("overwrite")
        if self._format == "csv":
            # quoting as in RFC 4180; nothing trimmed; a missing value is an empty cell, and so is an empty text
            writer = writer.options(
                header=True, escape='"', emptyValue="", ignoreLeadingWhiteSpace=False, ignoreTrailingWhiteSpace=False
            )
        writer.format(self._format).save(_uri(self.folder(name)))

    def publish_summary(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Replaces the summary, and returns it as published; written last, it speaks of results that are there."""
        return {name: summary[name] for name in self._write_summary(summary)}

    def _write_summary(self, summary: dict[str, Any] | None) -> list[str]:
        """Replaces the summary, by no row where there is none, and returns its names; as text it needs no Python worker."""
        parsed = F.from_json(F.lit(json.dumps(summary or {})), SUMMARY_SCHEMA, {"mode": "FAILFAST"})
        rows = self._spark.range(1 if summary else 0).coalesce(1).select(F.inline(F.array(parsed)))
        rows.write.mode("overwrite").option("ignoreNullFields", False).json(_uri(self.folder(SUMMARY)))
        return rows.columns

    def top(self, name: str) -> Top:
        """The first rows of a published result; only a result longer than that takes a second look."""
        published = self._reader(name, self._format).load(_uri(self.folder(name)))
        rows = published.take(TOP + 1)
        total, untagged = len(rows), sum(row["count"] for row in rows if row[0] == UNTAGGED)
        if len(rows) > TOP:
            flows = F.sum(F.when(F.col(published.columns[0]).cast("string") == UNTAGGED, F.col("count")))
            total, untagged = published.agg(F.count(F.lit(1)), F.coalesce(flows, F.lit(0))).collect()[0]
        return Top(rows[:TOP], total, untagged)

    def _reader(self, name: str, file_format: str) -> DataFrameReader:
        return (
            self._spark.read.schema(_TABLES[name])
            .format(file_format)
            .options(escape='"', header=True, multiLine=True, lineSep="\n")
        )


def _uri(folder: str) -> str:
    return f"file://{folder}" if folder.startswith("/") else folder


@contextmanager
def _one_record_a_batch(spark: SparkSession) -> Iterator[None]:
    """Whole files travel as rows when Spark reads them: one a batch, or they pile up in the worker's memory."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "1")
    try:
        yield
    finally:
        spark.conf.set(name, str(before))

"""Publishes the results: each interval in folders of its own, which are replaced whole, with the summary last."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.books import KINDS
from flowspark.errors import FlowsparkError, InputError, UsageError, cause, one_line
from flowspark.files import LogFile, is_direct, is_local, normal, spark_path, written_path
from flowspark.lookup import UNTAGGED
from flowspark.machines import on_one_machine
from flowspark.previous import Previous
from flowspark.session import SPARK_ERRORS
from flowspark.storage import storage_of
from flowspark.summary import SUMMARY_SCHEMA, DamagedState, Summary, parse_summary
from flowspark.turns import revoke_turns, turn

log = logging.getLogger(__name__)

TAG_COUNTS, PORT_PROTOCOL_COUNTS, REJECTS, FILES, SUMMARY, SCAN = (
    "tag_counts",
    "port_protocol_counts",
    "rejects",
    "files",
    "summary",
    "_scan",
)

RESULTS = (TAG_COUNTS, PORT_PROTOCOL_COUNTS, REJECTS, FILES)

TOP = 20
_TABLES = {
    TAG_COUNTS: "tag string, count bigint",
    PORT_PROTOCOL_COUNTS: "dstport int, protocol string, count bigint",
    FILES: "path string, size bigint, modified string, status string, error string, layout string, "
    + ", ".join(f"{name} bigint" for name in (*KINDS, "rejected")),
}


@dataclass(frozen=True)
class Top:
    """The first rows of a published result, the number of all its rows, and the number of its untagged flows."""

    rows: list[Row]
    total: int
    untagged: int


class Output:
    """The folders of one interval under an output.

    All names that are stored in an output are relative to it, so it may be moved, or spelled in another way, later.

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

    @property
    def scans(self) -> str:
        """The folder of the interval's stored scans."""
        return self.folder(SCAN)

    def standing(self) -> Summary | None:
        """The summary of the interval's last complete run; None where there is none, or it cannot be understood.

        Raises:
            UsageError: Spark does not know the storage.
            FlowsparkError: Spark cannot reach it.
        """
        try:
            return self._summary()
        except SPARK_ERRORS as error:
            unknown = re.search("No FileSystem|FileSystem not found|ClassNotFound", str(error))
            raise (UsageError if unknown else FlowsparkError)(
                f"output {self._root} cannot be reached: {cause(error)}; check it, and what Spark's credentials may do"
            ) from error

    def turn(self, run_id: str) -> AbstractContextManager[Callable[[], None]]:
        """The turn to publish the interval (see `turns.turn`)."""
        return turn(self.scans, run_id)

    def revoke_turns(self) -> None:
        """Takes the turn from all runs that have it (see `turns.revoke_turns`)."""
        revoke_turns(self.scans)

    def previous(self) -> Previous | None:
        """The last complete run of the interval; None if there is none, or its summary or files table is damaged."""
        summary = self._summary()
        if summary is None:
            return None
        try:
            return Previous(summary, *self._manifest(summary))
        except DamagedState as error:
            self._warn(error)
            return None

    def _manifest(self, summary: Summary) -> tuple[list[LogFile], dict[str, str]]:
        """The rows of the files table, and the errors in it, by path.

        Raises:
            DamagedState: the table cannot be read, or lacks files.
        """
        table = self._reader(FILES, summary.settings.output_format)
        try:
            rows = table.load(spark_path(self.folder(FILES))).select("path", "size", "modified", "error").collect()
        except SPARK_ERRORS as error:
            raise DamagedState(f"the table {FILES} cannot be read: {cause(error)}") from error
        errors = {row["path"]: row["error"] for row in rows if row["error"]}
        read, expected = len(rows) - len(errors), summary.content["books"]["files"]
        if read != expected:
            raise DamagedState(f"the table {FILES} has {read:,} file(s) that were read, and the summary has {expected:,}")
        return [LogFile(*row[:3]) for row in rows], errors

    def missing_results(self) -> list[str]:
        """The tables without a part file: somebody has removed them since they were published."""
        return [name for name in RESULTS if not self._part_files(name)]

    def check_published(self) -> None:
        """Checks that, on a cluster with a local output path, the driver sees each table that executors have written.

        Raises:
            FlowsparkError: an executor has written a table to a disk of its own.
        """
        missing = self.missing_results() if is_local(self._root) and not on_one_machine(self._spark) else []
        if missing:
            raise FlowsparkError(
                f"executors have written {', '.join(missing)}, and the driver does not see the files: {self._root} is not "
                "the same folder on all machines. The interval has no summary until a run is complete; give an --output on "
                "storage that all machines reach (s3://…, hdfs://…), or mount it on each of them, and run again"
            )

    def _part_files(self, name: str) -> list[str]:
        try:
            return self._parts.text(spark_path(self.folder(name))).inputFiles()
        except AnalysisException:
            return []

    @property
    def _parts(self) -> DataFrameReader:
        return self._spark.read.option("pathGlobFilter", "part-*")

    def _summary(self) -> Summary | None:
        try:
            rows = self._parts.text(spark_path(self.folder(SUMMARY)), wholetext=True).collect()
        except AnalysisException:
            return None
        texts = [row[0] for row in rows if row[0].strip()]
        if not texts:
            return None
        try:
            if len(texts) > 1:
                raise DamagedState(f"there are {len(texts)} summaries")
            return parse_summary(texts[0], self._label)
        except DamagedState as error:
            self._warn(error)
            return None

    def _warn(self, damaged: DamagedState) -> None:
        log.warning(
            "%s has no previous run of interval %s that can be used: %s", self._root, self._label, one_line(damaged)
        )

    def withdraw_summary(self) -> None:
        """Removes the summary before the results that it describes are replaced. No part file and no `_SUCCESS` is left."""
        folder = self.folder(SUMMARY)
        try:
            if is_direct(folder):
                storage_of(folder).remove(folder)
            else:
                self._empty_folder(folder)
        except (OSError, InputError):
            self._empty_folder(folder)  # Spark's credentials may do more than flowspark's own

    def _empty_folder(self, folder: str) -> None:
        """Removes all files of a folder with Spark's writers: it is overwritten with no rows.

        The overwrite is partitioned by a column, because only then it leaves no part file. `_SUCCESS` is turned off.
        """
        no_rows = self._spark.range(0).select("id", F.lit(0).alias("none"))
        writer = no_rows.write.mode("overwrite").partitionBy("none")
        confs = {"mapreduce.fileoutputcommitter.marksuccessfuljobs": "false", "partitionOverwriteMode": "static"}
        writer.options(**confs).json(written_path(folder))

    def publish(self, name: str, df: DataFrame) -> None:
        """Replaces a result with the rows of a DataFrame: as many part files as it has partitions, in their order."""
        writer = df.write.mode("overwrite")
        if self._format == "csv":
            # quoting as in RFC 4180; nothing trimmed; a missing value is an empty cell, and so is an empty text
            writer = writer.options(
                header=True, escape='"', emptyValue="", ignoreLeadingWhiteSpace=False, ignoreTrailingWhiteSpace=False
            )
        writer.format(self._format).save(written_path(self.folder(name)))

    def publish_summary(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Replaces the summary, and returns it in the published order. Spark gets it as text, without a Python worker."""
        parsed = F.from_json(F.lit(json.dumps(summary)), SUMMARY_SCHEMA, {"mode": "FAILFAST"})
        row = self._spark.range(1).coalesce(1).select(F.inline(F.array(parsed)))
        ordered = {name: summary[name] for name in sorted(summary, key=row.columns.index)}
        row.write.mode("overwrite").option("ignoreNullFields", False).json(written_path(self.folder(SUMMARY)))
        return ordered

    def top(self, name: str) -> Top:
        """The first rows of a published result. Only a longer result takes a second Spark job."""
        published = self._reader(name, self._format).load(spark_path(self.folder(name)))
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

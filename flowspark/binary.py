"""Spark's binaryFile source: whole files as rows, from any storage that Spark can read, and what becomes of faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.errors import VANISHED, BadFile, InputError, cause
from flowspark.files import is_direct, is_local, reported_path, spark_path, unopenable
from flowspark.session import SPARK_ERRORS
from flowspark.storage import storage_of

MISSING, CORRUPT = FAULTS = ("ignoreMissingFiles", "ignoreCorruptFiles")
"""Options of Spark's readers: a file that is gone, or that cannot be read for any other reason, leaves no row."""


def _reader(spark: SparkSession, ignored: Sequence[str] = ()) -> DataFrameReader:
    """Spark's reader; each option is set one way or the other, for the session may have defaults of its own."""
    return spark.read.format("binaryFile").options(**{fault: fault in ignored for fault in FAULTS})


def load(spark: SparkSession, paths: Iterable[str], ignored: Sequence[str]) -> tuple[DataFrame, list[str]] | None:
    """The frame that reads some paths, and the files that it found; None when one of them leads nowhere.

    A classic session lists once, for both uses. A row is a whole file, so that nothing is ever half read. A fault that is
    ignored leaves no row of its file; any other fails the query, once Spark has tried the task again, and Spark names the
    file.
    """
    reader = _reader(spark, ignored).option("recursiveFileLookup", True)
    paths = list(paths)
    with telling_listing(paths[0]):
        try:
            frame = reader.load(paths).select(
                "path",
                "length",
                F.unix_timestamp("modificationTime").alias("modified"),
                "content",
                F.col("_metadata.file_path").alias("uri"),
            )
            return frame, [reported_path(unquote(uri)) for uri in frame.inputFiles()]
        except AnalysisException:
            return None


def empty_files(spark: SparkSession, paths: list[str]) -> list[str]:
    """Those of some files without a row that have none because they are empty; the others cannot be read."""
    if not paths:
        return []
    try:
        rows = _reader(spark).load(list(map(spark_path, paths))).select("path").collect()
    except SPARK_ERRORS:
        half = len(paths) // 2
        return [*empty_files(spark, paths[:half]), *empty_files(spark, paths[half:])] if half else []
    return sorted({*paths} - {reported_path(row["path"]) for row in rows})


@contextmanager
def telling_listing(path: str) -> Iterator[None]:
    try:
        yield
    except SPARK_ERRORS as error:
        raise InputError(
            f"{path} cannot be listed: {cause(error)}; check the path, and what Spark's credentials may do"
            + (", or give --reader direct" if is_direct(path) else "")
        ) from error


def why_unread(spark: SparkSession, path: str) -> str:
    """Why Spark's reader has left no row of a file, in both scans: the error that it has when it is asked for this one."""
    try:
        if is_local(path) or unopenable(path):
            storage_of(path).open(path).close()
        _reader(spark).load(spark_path(path)).select(F.length("content")).collect()
    except BadFile as error:
        return str(error)
    except AnalysisException:
        return VANISHED
    except SPARK_ERRORS as error:
        return f"cannot be read: {cause(error)}"
    return "could not be read twice, and can be read now; run again"

"""Reads whole files as rows with Spark's binaryFile source, from any storage, and finds out what is wrong with a file."""

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
"""Options of Spark's readers. With them, a file that is gone (MISSING), or cannot be read at all (CORRUPT), has no row."""


def _reader(spark: SparkSession, ignored: Sequence[str] = ()) -> DataFrameReader:
    """Spark's reader. Each option is set to true or false, because the session may have defaults of its own."""
    return spark.read.format("binaryFile").options(**{fault: fault in ignored for fault in FAULTS})


def load(spark: SparkSession, paths: Iterable[str], ignored: Sequence[str]) -> tuple[DataFrame, list[str]] | None:
    """The frame that reads some paths, and the files that Spark has found there; None when one of the paths does not exist.

    A classic session lists the paths only once, for both. A row of the frame is a whole file (`path`, `modificationTime`,
    `length`, `content`), so that nothing is half read. A file with a fault that is ignored has no row. Any other fault
    fails the query after Spark has tried the task again, and Spark's error names the file.

    The frame has the source's own columns. For a computed column Spark would copy every file once more, and for `_metadata`
    too; without them Java takes half the CPU.

    Raises:
        InputError: the paths cannot be listed.
    """
    reader = _reader(spark, ignored).option("recursiveFileLookup", True)
    paths = list(paths)
    with telling_listing(paths[0]):
        try:
            frame = reader.load(paths)
            return frame, [reported_path(unquote(uri)) for uri in frame.inputFiles()]
        except AnalysisException:
            return None


def empty_files(spark: SparkSession, paths: list[str]) -> list[str]:
    """Of some files that have no row, those that are empty. The others have none because they cannot be read."""
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
    """Turns an error that Spark raises while it lists a path into an InputError that says what to do."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise InputError(
            f"{path} cannot be listed: {cause(error)}; check the path, and what Spark's credentials may do"
            + (", or give --reader direct" if is_direct(path) else "")
        ) from error


READABLE_NOW = "could not be read in two attempts, but can be read now; run again"
"""What `why_unread` says of a file that is not bad: an executor without access, or a storage that had trouble."""


def why_unread(spark: SparkSession, path: str) -> str:
    """Why Spark's reader has given no row for a file in both scans: its error when it reads this file alone."""
    try:
        if is_local(path) or unopenable(path):
            storage_of(path).open(path).close()
        rows = _reader(spark).load(spark_path(path)).select(F.length("content")).collect()
    except BadFile as error:
        return str(error)
    except AnalysisException:
        return VANISHED
    except SPARK_ERRORS as error:
        return f"cannot be read: {cause(error)}"
    if not rows:
        return (
            "Spark has no row for this file, as for a name that ends in ._COPYING_ or a key that ends in a slash; "
            "rename it, or use --reader direct"
        )
    return READABLE_NOW

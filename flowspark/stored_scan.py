"""Stored scans: what a run has found in its logs, as Parquet in a folder of its own below `_scan/interval=…`.

Nothing is decoded twice: the books, the results and `--retag` read the stored scan. Each run writes a new one, so a run
that fails takes nothing from the one before. The summary names the scan that the published results were counted from.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from flowspark.books import Books
from flowspark.connect import temporary_setting
from flowspark.decode.split import SCAN_SCHEMA
from flowspark.errors import InputError, one_line
from flowspark.files import is_direct, spark_path, written_path
from flowspark.storage import storage_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedScan:
    """A stored scan that has passed all checks.

    Attributes:
        stored: the scan.
        name: the name of its folder.
        books: what was found in it.
        late: the files that are new since the interval's last run.
        not_searched: what was not looked at in search of the interval's files.
    """

    stored: DataFrame
    name: str
    books: Books
    late: list[str]
    not_searched: list[str]


def store_scan(scan: DataFrame, scans: str, run_id: str) -> str:
    """Writes a scan to this run's own folder below `scans`, in addition to what the run has already stored there.

    Returns the folder's name.
    """
    name = f"run={run_id}"
    # One row in each batch: if rows are whole files, several would pile up in a worker's memory. Where this cannot be set,
    # Spark bounds it: a task gets files of 128 MB in all (spark.sql.files.maxPartitionBytes), or one that is larger.
    with temporary_setting(scan.sparkSession, "spark.sql.execution.arrow.maxRecordsPerBatch", "1"):
        scan.write.mode("append").parquet(written_path(f"{scans}/{name}"))
    return name


def load_scan(spark: SparkSession, scans: str, name: str) -> DataFrame:
    """The stored scan in a folder: rows of `SCAN_SCHEMA`.

    Raises:
        InputError: the folder is gone.
    """
    folder = f"{scans}/{name}"
    try:
        return spark.read.schema(from_arrow_schema(SCAN_SCHEMA)).parquet(spark_path(folder))
    except AnalysisException as error:
        raise InputError(f"the stored scan {folder} is gone; run the interval again, from its logs") from error


def remove_scans(scans: str, current: str, replaced: str | None, before: str) -> None:
    """Removes the scan that was replaced, and those that failed runs have left.

    Where only Spark can write, it does nothing: there, a lifecycle rule of the storage must do that.

    Args:
        scans: the folder of an interval's stored scans.
        current: the folder name of the scan that stays.
        replaced: the folder name of the scan that was current before; None if there was none.
        before: a time, as in a run id. Scans of runs that started earlier are removed; later runs may still go on.
    """
    if not is_direct(scans):
        return
    storage = storage_of(scans)
    try:
        for name in storage.level(scans)[0]:
            if name != current and (name == replaced or name < f"run={before}"):
                storage.remove(f"{scans}/{name}")
    except (OSError, InputError) as error:
        log.warning("old scans below %s could not be removed: %s; let a lifecycle rule do it", scans, one_line(error))

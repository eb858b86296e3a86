"""Makes the published tables from a stored scan, and orders their rows: pure functions on DataFrames."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.books import KINDS, Books, is_piece
from flowspark.decode.split import READ, REJECT_LIMIT, REJECT_REASONS, SKIPPED
from flowspark.tagging import protocol_order


def in_order(df: DataFrame, order: Sequence[Column]) -> DataFrame:
    """All rows in one partition, in order: what is written from it is one part file."""
    return df.repartition(1).sortWithinPartitions(*order)


def rejects_of(scan: DataFrame, books: Books) -> DataFrame:
    """The first 100,000 rejected lines of each file that was read: `file, line, reason, text`, by file and line."""
    rejects = in_order(_reject_lists(scan, books), _list_order()).select(F.inline("rejects"))
    if any(file["rejects_stored"] > REJECT_LIMIT for file in books.cut.values()):  # each piece may have as many
        place = F.row_number().over(Window.partitionBy("file").orderBy("line"))
        first = rejects.withColumn("place", place).where(F.col("place") <= REJECT_LIMIT).drop("place")
        rejects = in_order(first, [F.asc("file"), F.asc("line")])
    return rejects


def first_rejects(scan: DataFrame, books: Books, count: int) -> DataFrame:
    """So many of the first rows of `rejects_of`, found without a sort of all."""
    return _reject_lists(scan, books).orderBy(*_list_order()).limit(count).select(F.inline("rejects")).limit(count)


def _reject_lists(scan: DataFrame, books: Books) -> DataFrame:
    """The scan's lists of rejected lines: `rejects, file`, without those of bad files.

    A list has lines of one file, in order. So the lists are sorted and not the lines, which are far more.
    """
    lists = scan.select("rejects").where(F.col("rejects").isNotNull()).withColumn("file", F.col("rejects")[0]["file"])
    if books.bad_files:
        read = scan.where(F.col("file.status") == READ).select(F.col("file.path").alias("file"))
        lists = lists.join(read, on="file", how="left_semi")
    return lists


def _list_order() -> list[Column]:
    return [F.asc("file"), F.col("rejects")[0]["line"].asc()]


def files_of(scan: DataFrame, books: Books) -> DataFrame:
    """The files table: one row for each file, with its own books."""
    audits = scan.where(F.col("file").isNotNull())
    files = (audits.where(~is_piece(F.col("file"))) if books.cut else audits).select("file.*")
    nothing = {"status": SKIPPED, "layouts": []} | dict.fromkeys((*KINDS, *REJECT_REASONS), 0)
    gone = ({"path": path, "error": books.bad_files[path]} | nothing for path in books.vanished)
    others = [*books.cut.values(), *gone]
    if others:
        files = files.unionByName(scan.sparkSession.createDataFrame(others, files.schema))
    rejected = sum((F.col(reason) for reason in REJECT_REASONS[1:]), F.col(REJECT_REASONS[0]))
    layout = F.when(F.size("layouts") > 0, F.concat_ws(" | ", "layouts"))
    return files.select(
        "path", "size", "modified", "status", "error", layout.alias("layout"), *KINDS, rejected.alias("rejected")
    )


def tag_order() -> list[Column]:
    """Count descending, then tag by code point (rule 8)."""
    return [F.desc("count"), F.asc("tag")]


def port_order() -> list[Column]:
    """Count descending, then dstport and protocol number, missing last (rule 8)."""
    return [F.desc("count"), F.asc_nulls_last("dstport"), protocol_order().asc_nulls_last()]

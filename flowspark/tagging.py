"""Join and count: pure functions from DataFrame to DataFrame, to be used with `.transform`."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.errors import UsageError
from flowspark.lookup import UNTAGGED
from flowspark.protocols import KEYWORDS


def is_flow() -> Column:
    """Whether a record is a flow (rule 1): log-status OK or, where it is missing, with both dstport and protocol."""
    status = F.col("log_status")
    has_ports = F.col("dstport").isNotNull() & F.col("protocol").isNotNull()
    return F.when(status.isNull(), has_ports).otherwise(status == "OK")


def tag_flows(df: DataFrame, lookup: DataFrame) -> DataFrame:
    """Adds `tag string`: the lookup's tag for a flow's dstport and protocol, or `Untagged`; null if it is not a flow.

    A flow whose key has several tags has a row for each (rule 5).

    Args:
        df: records with `dstport int`, `protocol int` and `log_status string`.
        lookup: `dstport int, protocol int, tag string`, as `load_lookup` returns it.

    Raises:
        UsageError: a column is missing, or there is a `tag` already.
    """
    _need(df, "dstport", "protocol", "log_status")
    if "tag" in df.columns:
        raise UsageError("the records have a column tag already; drop or rename it first")
    keys = F.broadcast(
        lookup.select(
            F.col("dstport").alias("_lookup_dstport"),
            F.col("protocol").alias("_lookup_protocol"),
            F.col("tag").alias("_lookup_tag"),
        )
    )
    same_key = (F.col("dstport") == F.col("_lookup_dstport")) & (F.col("protocol") == F.col("_lookup_protocol"))
    joined = df.join(keys, on=same_key & is_flow(), how="left")
    tag = F.when(is_flow(), F.coalesce(F.col("_lookup_tag"), F.lit(UNTAGGED)))
    return joined.select(*(F.col(f"`{name}`") for name in df.columns), tag.alias("tag"))


def count_tags(df: DataFrame, weight: str | None = None) -> DataFrame:
    """How many flows each tag has: `tag string, count bigint`, in no particular order.

    Args:
        df: tagged records, as `tag_flows` returns them.
        weight: a column with the number of flows that a row stands for; default one a row.

    Raises:
        UsageError: a column is missing.
    """
    _need(df, "tag", *([weight] if weight else []))
    return df.where(F.col("tag").isNotNull()).groupBy("tag").agg(_flows(weight))


def count_port_protocols(df: DataFrame, weight: str | None = None) -> DataFrame:
    """How many flows each dstport and protocol has: `dstport int, protocol string, count bigint`, in no particular order.

    A protocol is written as its lower-case IANA keyword, or the number where there is none (rule 7).

    Args:
        df: records with `dstport int`, `protocol int` and `log_status string`, before they are tagged.
        weight: a column with the number of flows that a row stands for; default one a row.

    Raises:
        UsageError: a column is missing, or the records are tagged: a flow with two tags would count twice.
    """
    _need(df, "dstport", "protocol", "log_status", *([weight] if weight else []))
    if "tag" in df.columns:
        raise UsageError("count ports and protocols before tag_flows: afterwards a flow with two tags counts twice")
    counts = df.where(is_flow()).groupBy("dstport", "protocol").agg(_flows(weight))
    return counts.withColumn("protocol", _labels())


def protocol_order() -> Column:
    """The number of a written protocol, to sort by."""
    numbers = F.create_map(*(F.lit(part) for n, label in KEYWORDS.items() for part in (label, n)))
    return F.coalesce(F.try_element_at(numbers, F.col("protocol")), F.expr("try_cast(protocol AS int)"))


def _labels() -> Column:
    labels = F.create_map(*(F.lit(part) for pair in KEYWORDS.items() for part in pair))
    return F.coalesce(F.try_element_at(labels, F.col("protocol")), F.col("protocol").cast("string"))


def _flows(weight: str | None) -> Column:
    return (F.sum(weight) if weight else F.count(F.lit(1))).alias("count")


def _need(df: DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in df.columns]
    if missing:
        raise UsageError(f"column(s) {', '.join(missing)} are needed; there are: {', '.join(df.columns[:20])}")

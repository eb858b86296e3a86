"""Publishes a checked scan: the interval's four tables, and then its summary, while the run has the turn."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.lookup import Lookup
from flowspark.lookup_table import lookup_frame
from flowspark.outputs import FILES, PORT_PROTOCOL_COUNTS, REJECTS, TAG_COUNTS, Output, Top
from flowspark.phases import Phases
from flowspark.settings import Settings
from flowspark.stored_scan import CheckedScan, remove_scans
from flowspark.summary import Summary, summarise
from flowspark.tables import files_of, in_order, port_order, rejects_of, tag_order
from flowspark.tagging import count_port_protocols, count_tags, tag_flows
from flowspark.turns import TurnLost

Written = TypeVar("Written")
Fence = Callable[[Callable[[], Any]], Any]
"""`fenced`, for one output and one turn."""

_ORPHANED = timedelta(days=1)  # after this time, a stored scan that is not the current one is taken as left by a failed run


@dataclass(frozen=True)
class Run:
    """One run: what it was asked to do, its name, where it publishes, and what it has done so far."""

    settings: Settings
    lookup: Lookup
    output: Output
    started: datetime
    run_id: str
    phases: Phases


@dataclass(frozen=True)
class Result:
    """What is published: the summary and, for people, the first rows of the two results (None if nothing had changed)."""

    summary: dict[str, Any]
    tops: tuple[Top, Top] | None


def publish(this: Run, checked: CheckedScan, standing: Summary | None, still_ours: Callable[[], None]) -> Result:
    """Replaces the interval's results with those of a stored scan. The summary is removed first, and written last.

    Args:
        this: the run.
        checked: the stored scan that is counted.
        standing: the summary of the results that are replaced, if any.
        still_ours: checks that the run still has the turn to publish.

    Raises:
        TurnLost: the run stood still, and another one may have published meanwhile.
    """
    output, phases = this.output, this.phases
    fence = partial(fenced, output, still_ours)
    with phases.phase("publish") as counts:
        fence(output.withdraw_summary)
        tags, ports = publish_tables(this, checked, fence)
        output.check_published()
        counts["rows"] = tags.total + ports.total + checked.books.published_rejects + checked.books.listed
    run = {
        "run_id": this.run_id,
        "started": _text(this.started),
        "finished": _text(datetime.now(UTC)),
        "phases": phases.done,
    }
    summary = summarise(checked, this.lookup, this.settings, tags.untagged) | run
    with phases.jobs("publish: summary"):
        published = fence(partial(output.publish_summary, summary))
    replaced = standing.scan if standing else None
    remove_scans(output.scans, checked.name, replaced, before=f"{this.started - _ORPHANED:%Y%m%dT%H%M%SZ}")
    return Result(published, (tags, ports))


def fenced(output: Output, still_ours: Callable[[], None], write: Callable[[], Written]) -> Written:
    """Writes one part of the results while this run has the turn to publish the interval.

    A run that stands still in the middle of a write finds out afterwards that it has lost its turn. Its part may then lie
    beside the results of the run that took over. So that no summary describes such a mixture, the summary is removed, and
    a run that is publishing now fails at its next check.

    Raises:
        TurnLost: the turn was lost, before or during the write.
    """
    still_ours()
    try:
        return write()
    finally:
        try:
            still_ours()
        except TurnLost:
            try:
                output.revoke_turns()
            finally:
                output.withdraw_summary()
            raise


def publish_tables(this: Run, checked: CheckedScan, fence: Fence) -> tuple[Top, Top]:
    """Counts the stored tallies, and replaces the interval's four tables. Returns the first rows of the two results."""
    output, stored, books = this.output, checked.stored, checked.books
    tallies = (
        stored.select(F.inline("tally"))
        .groupBy("dstport", "protocol")
        .agg(F.sum("flows").alias("flows"))
        .withColumn("log_status", F.lit("OK"))  # only flows are tallied
    )
    table = lookup_frame(stored.sparkSession, this.lookup)

    def replace(name: str, rows: DataFrame) -> None:
        with this.phases.jobs(f"publish: {name}"):
            fence(partial(output.publish, name, rows))

    def top(name: str) -> Top:
        with this.phases.jobs(f"publish: first rows of {name}"):
            return output.top(name)

    def tags() -> Top:
        counts = tallies.transform(tag_flows, table).transform(count_tags, "flows")
        replace(TAG_COUNTS, in_order(counts, tag_order()))
        return top(TAG_COUNTS)

    def ports() -> Top:
        counts = tallies.transform(count_port_protocols, "flows")
        replace(PORT_PROTOCOL_COUNTS, in_order(counts, port_order()))
        return top(PORT_PROTOCOL_COUNTS)

    def rejects() -> None:
        replace(REJECTS, rejects_of(stored, books))

    def files() -> None:
        replace(FILES, in_order(files_of(stored, books), [F.asc("path")]))

    with ThreadPoolExecutor() as pool:  # side by side: a small table takes most of its time for planning
        tops = pool.submit(tags), pool.submit(ports)
        others = pool.submit(rejects), pool.submit(files)
    for done in others:
        done.result()
    return tops[0].result(), tops[1].result()


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

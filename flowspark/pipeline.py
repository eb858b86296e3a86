"""A run, step by step: list, scan, check, count, publish."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.binary import why_unread
from flowspark.books import Books, read_books
from flowspark.checks import check_books, check_files, rejects_error
from flowspark.errors import InputError
from flowspark.find import find_files
from flowspark.layouts import parse_layout
from flowspark.locations import check_output
from flowspark.lookup import Lookup
from flowspark.lookup_table import lookup_frame, read_lookup
from flowspark.outputs import (
    FILES,
    PORT_PROTOCOL_COUNTS,
    REJECTS,
    TAG_COUNTS,
    Output,
    Top,
)
from flowspark.previous import check_same_selection
from flowspark.scan import scan_files
from flowspark.settings import Settings
from flowspark.stored_scan import CheckedScan, load_scan, remove_scans, store_scan
from flowspark.summary import Summary, summarise
from flowspark.tables import files_of, port_order, rejects_of, tag_order
from flowspark.tagging import count_port_protocols, count_tags, tag_flows
from flowspark.turns import TurnLost

log = logging.getLogger(__name__)

Written = TypeVar("Written")
Fence = Callable[[Callable[[], Any]], Any]
"""`fenced`, for one output and one turn."""

_EXAMPLES = 5
_READ_AGAIN = 10_000  # files: each is named in Spark's plan, and if more have failed, it is no passing trouble
_ORPHANED = timedelta(days=1)  # after this time, a stored scan that is not the current one is taken as left by a failed run


@dataclass(frozen=True)
class Run:
    """One run: what it was asked to do, its name, and where it publishes."""

    settings: Settings
    lookup: Lookup
    output: Output
    started: datetime
    run_id: str


@dataclass(frozen=True)
class Result:
    """What is published: the summary and, for people, the first rows of the two results (None if nothing had changed)."""

    summary: dict[str, Any]
    tops: tuple[Top, Top] | None


def run(spark: SparkSession, settings: Settings) -> Result:
    """Runs the job.

    Raises:
        FlowsparkError: something went wrong. If it is found before publishing, what was published stays as it was.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    check_output(settings.output, () if settings.retag else settings.input)
    output = Output(spark, settings.output, settings.selection.label, settings.output_format)
    standing = output.standing()
    if standing and not settings.retag:
        check_same_selection(standing, settings)
    this = Run(settings, read_lookup(spark, settings.lookup, settings.on_conflict), output, started, run_id)
    return retag(spark, this) if settings.retag else count(spark, this)


def count(spark: SparkSession, this: Run) -> Result:
    """Lists, scans, checks and publishes; or finds that nothing has changed since the last run."""
    settings, output = this.settings, this.output
    found = find_files(spark, settings.input, settings.reader, settings.selection, allow_empty=settings.allow_empty)
    files, mappings = len(found.files), len(this.lookup.mappings)
    log.info("run %s: %s log file(s), %s mapping(s)", this.run_id, f"{files:,}", f"{mappings:,}")
    late: list[str] = []
    if settings.skip_unchanged:
        with output.turn(this.run_id):
            previous = output.previous()
        unchanged = previous and previous.is_current(found.files, this.lookup.sha256, settings)
        if previous and unchanged and not output.missing_results():
            return Result(previous.summary.content, None)
        late = previous.late_files(found.files) if previous else []

    layout = parse_layout(settings.layout) if settings.layout else None
    name = store_scan(scan_files(spark, found, layout), output.scans, this.run_id)
    stored = load_scan(spark, output.scans, name)
    paths = [file.path for file in found.files]
    books = read_books(stored, paths)
    if books.vanished:  # Spark's reader gives up at the first fault; flowspark's own has tried again by itself
        again = books.vanished[:_READ_AGAIN]
        log.info("%s file(s) could not be read, %s are read once more", f"{len(books.vanished):,}", f"{len(again):,}")
        store_scan(scan_files(spark, found.only(again), layout), output.scans, this.run_id)
        stored = load_scan(spark, output.scans, name)
        books = read_books(stored, paths, partial(why_unread, spark))
    check(books, stored, settings)
    with output.turn(this.run_id) as still_ours:
        standing = output.standing()  # another run may have published meanwhile
        if standing:
            check_same_selection(standing, settings)
        return publish(this, CheckedScan(stored, name, books, late, [*found.not_searched]), standing, still_ours)


def retag(spark: SparkSession, this: Run) -> Result:
    """Counts an interval's stored scan again, with the lookup of today; no log file is opened.

    Raises:
        InputError: there is no complete run of the interval, or its scan is gone.
    """
    with this.output.turn(this.run_id) as still_ours:
        previous = this.output.previous()
        if previous is None:
            raise InputError(
                f"nothing to tag again: {this.settings.output} has no complete run of interval "
                f"{this.settings.selection.label}; run it from its logs, without --retag"
            )
        again = dataclasses.replace(this, settings=previous.retag_settings(this.settings))
        stored = load_scan(spark, this.output.scans, previous.summary.scan)
        books = read_books(stored, [file.path for file in previous.files], previous.why_left_out)
        check(books, stored, again.settings)
        not_searched = previous.summary.content.get("not_searched") or []
        scan = CheckedScan(stored, previous.summary.scan, books, [], not_searched)
        return publish(again, scan, previous.summary, still_ours)


def check(books: Books, stored: DataFrame, settings: Settings) -> None:
    """Checks all that must hold before anything is published.

    Raises:
        InputError: bad files, which are checked first.
        CheckError: the books do not balance, or too many lines were rejected.
    """
    check_files(books, settings.on_bad_file)
    check_books(books)
    if books.too_many_rejects(settings.reject_limit):
        rejects = rejects_of(stored, books).orderBy("file", "line").limit(_EXAMPLES)
        raise rejects_error(books, settings.reject_limit, [row.asDict() for row in rejects.collect()])


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
    output = this.output
    fence = partial(fenced, output, still_ours)
    fence(output.withdraw_summary)
    tags, ports = publish_tables(output, checked, this.lookup, fence)
    run = {"run_id": this.run_id, "started": _text(this.started), "finished": _text(datetime.now(UTC))}
    summary = summarise(checked, this.lookup, this.settings, tags.untagged) | run
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


def publish_tables(output: Output, checked: CheckedScan, lookup: Lookup, fence: Fence) -> tuple[Top, Top]:
    """Counts the stored tallies, and replaces the interval's four tables. Returns the first rows of the two results."""
    stored, books = checked.stored, checked.books
    tallies = (
        stored.select(F.inline("tally"))
        .groupBy("dstport", "protocol")
        .agg(F.sum("flows").alias("flows"))
        .withColumn("log_status", F.lit("OK"))  # only flows are tallied
    )
    table = lookup_frame(stored.sparkSession, lookup)

    def replace(name: str, rows: DataFrame, order: list[Column]) -> None:
        fence(partial(output.publish, name, rows, order))

    def tags() -> Top:
        replace(TAG_COUNTS, tallies.transform(tag_flows, table).transform(count_tags, "flows"), tag_order())
        return output.top(TAG_COUNTS)

    def ports() -> Top:
        replace(PORT_PROTOCOL_COUNTS, tallies.transform(count_port_protocols, "flows"), port_order())
        return output.top(PORT_PROTOCOL_COUNTS)

    def rejects() -> None:
        replace(REJECTS, rejects_of(stored, books), [F.asc("file"), F.asc("line")])

    def files() -> None:
        replace(FILES, files_of(stored, books), [F.asc("path")])

    with ThreadPoolExecutor() as pool:  # side by side: a small table takes most of its time for planning
        tops = pool.submit(tags), pool.submit(ports)
        others = pool.submit(rejects), pool.submit(files)
    for done in others:
        done.result()
    return tops[0].result(), tops[1].result()


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

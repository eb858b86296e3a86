"""The sentence that a run is: list, scan, check, count, publish."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

import flowspark
from flowspark.books import Books, check_books, check_files, read_books, rejects_error
from flowspark.decode.split import REJECT_REASONS
from flowspark.errors import InputError
from flowspark.files import is_local
from flowspark.find import find_files, why_unread
from flowspark.layouts import parse_layout
from flowspark.lookup import Lookup
from flowspark.lookup_table import lookup_frame, read_lookup
from flowspark.outputs import (
    FILES,
    PORT_PROTOCOL_COUNTS,
    REJECTS,
    TAG_COUNTS,
    Output,
    Top,
    check_output,
)
from flowspark.protocols import protocol_label
from flowspark.scan import scan_files
from flowspark.settings import Settings
from flowspark.tables import files_of, port_order, rejects_of, tag_order
from flowspark.tagging import count_port_protocols, count_tags, tag_flows

log = logging.getLogger(__name__)

_EXAMPLES = 5
_ORPHANED = timedelta(days=1)  # the stored scan of a run that started so long ago, and is not the current one


@dataclass(frozen=True)
class Run:
    """One run: what it was asked to do, by which name it goes, and where it publishes."""

    settings: Settings
    lookup: Lookup
    output: Output
    started: datetime
    run_id: str


@dataclass(frozen=True)
class Result:
    """What stands published: the summary and, for people, the top of the two results; None when nothing had changed."""

    summary: dict[str, Any]
    tops: tuple[Top, Top] | None


def run(spark: SparkSession, settings: Settings) -> Result:
    """Runs the job.

    Raises:
        FlowsparkError: whatever went wrong; what was published before is as it was.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    check_output(settings.output, () if settings.retag else settings.input)
    lookup = read_lookup(spark, settings.lookup, settings.on_conflict)
    output = Output(spark, settings.output, settings.selection.label, settings.output_format)
    if not is_local(settings.output):
        output.check()
    this = Run(settings, lookup, output, started, run_id)
    return retag(this) if settings.retag else count(spark, this)


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
        if previous and previous.is_current(found.files, this.lookup.sha256, settings):
            return Result(previous.summary, None)
        late = previous.late_files(found.files) if previous else []

    scan = scan_files(spark, found, parse_layout(settings.layout) if settings.layout else None)
    folder = output.store_scan(scan, this.run_id)
    stored = output.load_scan(folder)
    books = read_books(stored, [file.path for file in found.files], partial(why_unread, spark))
    check(books, stored, settings)
    with output.turn(this.run_id) as still_ours:
        return publish(this, stored, folder, books, late, still_ours)


def retag(this: Run) -> Result:
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
        folder = previous.summary["scan"]
        stored = this.output.load_scan(folder)
        books = read_books(stored, [file.path for file in previous.files], previous.errors.__getitem__)
        check(books, stored, again.settings)
        return publish(again, stored, folder, books, [], still_ours)


def check(books: Books, stored: DataFrame, settings: Settings) -> None:
    """All that must hold before anything is published.

    Raises:
        FlowsparkError: a bad file (3 before 4), books that do not balance, too many rejected lines.
    """
    check_files(books, settings.on_bad_file)
    check_books(books)
    if books.too_many_rejects(settings.max_reject_ratio):
        rejects = rejects_of(stored, books).orderBy("file", "line").limit(_EXAMPLES)
        raise rejects_error(books, settings.max_reject_ratio, [row.asDict() for row in rejects.collect()])


def publish(
    this: Run, stored: DataFrame, folder: str, books: Books, late: list[str], still_ours: Callable[[], None]
) -> Result:
    """Replaces the interval's results by those of a stored scan; the summary is taken back first, and written last."""
    output = this.output
    replaced = output.withdraw_summary()
    tags, ports = publish_tables(output, stored, books, this.lookup)
    still_ours()
    finished = datetime.now(UTC)
    identity = {"run_id": this.run_id, "started": _text(this.started), "finished": _text(finished), "scan": folder}
    found = summarise(books, this.lookup, this.settings, tags.untagged) | {"late_files": late}
    summary = output.publish_summary(found | identity)
    output.remove_scans(folder, replaced, before=f"{this.started - _ORPHANED:%Y%m%dT%H%M%SZ}")
    return Result(summary, (tags, ports))


def publish_tables(output: Output, stored: DataFrame, books: Books, lookup: Lookup) -> tuple[Top, Top]:
    """Counts the stored tallies, and replaces the interval's four tables; the top of the two results."""
    tallies = (
        stored.select(F.inline("tally"))
        .groupBy("dstport", "protocol")
        .agg(F.sum("flows").alias("flows"))
        .withColumn("log_status", F.lit("OK"))  # only flows are tallied
    )
    table = lookup_frame(stored.sparkSession, lookup)

    def tags() -> Top:
        output.publish(TAG_COUNTS, tallies.transform(tag_flows, table).transform(count_tags, "flows"), tag_order())
        return output.top(TAG_COUNTS)

    def ports() -> Top:
        output.publish(PORT_PROTOCOL_COUNTS, tallies.transform(count_port_protocols, "flows"), port_order())
        return output.top(PORT_PROTOCOL_COUNTS)

    def rejects() -> None:
        output.publish(REJECTS, rejects_of(stored, books), [F.asc("file"), F.asc("line")])

    def files() -> None:
        output.publish(FILES, files_of(stored, books), [F.asc("path")])

    with ThreadPoolExecutor() as pool:  # side by side: most of the time that a small table takes is its planning
        tops = pool.submit(tags), pool.submit(ports)
        others = pool.submit(rejects), pool.submit(files)
    for done in others:
        done.result()
    return tops[0].result(), tops[1].result()


def summarise(books: Books, lookup: Lookup, settings: Settings, untagged: int) -> dict[str, Any]:
    """The summary, but for what tells one run from another."""
    flows = books.totals["flows"]
    return {
        "flowspark": flowspark.__version__,
        "interval": settings.selection.label,
        "inputs": list(settings.input),
        "lookup": {
            "path": settings.lookup,
            "sha256": lookup.sha256,
            "rows": lookup.rows,
            "mappings": len(lookup.mappings),
            "tags": lookup.tags,
            "conflicts": [
                {"dstport": port, "protocol": protocol_label(protocol), "tags": tags}
                for (port, protocol), tags in lookup.conflicts.items()
            ],
        },
        "books": books.summary(),
        "reject_reasons": {reason: books.totals[reason] for reason in REJECT_REASONS},
        "tagged": flows - untagged,
        "untagged": untagged,
        "flows_without_ports": books.flows_without_ports,
        "bad_files": [{"path": path, "error": error} for path, error in books.bad_files.items()],
        "layouts": [{"layout": layout, "files": files} for layout, files in sorted(books.layouts.items())],
        "unknown_fields": books.unknown_fields,
        "settings": settings.as_text(),
    }


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

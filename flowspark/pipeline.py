"""A run, step by step: list, scan, check, count, publish."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from datetime import UTC, datetime
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from flowspark.access import check_access
from flowspark.binary import why_unread
from flowspark.books import Books, read_books
from flowspark.checks import check_books, check_files, rejects_error
from flowspark.errors import InputError
from flowspark.find import LogFiles, find_files
from flowspark.layouts import parse_layout
from flowspark.locations import check_output
from flowspark.lookup_table import read_lookup
from flowspark.machines import check_paths, check_same_files
from flowspark.outputs import Output
from flowspark.phases import Phases
from flowspark.previous import check_same_selection
from flowspark.publishing import Result, Run, publish
from flowspark.scan import scan_files
from flowspark.settings import Settings
from flowspark.stored_scan import CheckedScan, load_scan, store_scan
from flowspark.tables import first_rejects

log = logging.getLogger(__name__)

_EXAMPLES = 5
_READ_AGAIN = 10_000  # files: each is named in Spark's plan, and if more have failed, it is no passing trouble


def run(spark: SparkSession, settings: Settings, *, progress: bool = False) -> Result:
    """Runs the job.

    Args:
        spark: the session.
        settings: what to do.
        progress: whether a phase that takes long shows its progress on stderr, which then is a terminal.

    Raises:
        FlowsparkError: something went wrong. If it is found before publishing, what was published stays as it was.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    inputs = () if settings.retag else settings.input
    check_output(settings.output, inputs)
    check_paths(spark, inputs, settings.output, shared=settings.shared_filesystem)
    output = Output(spark, settings.output, settings.selection.label, settings.output_format)
    phases = Phases(spark, run_id, progress)
    with phases.phase("lookup") as counts:
        with phases.jobs("lookup: the interval's last summary"):
            standing = output.standing()
        if standing and not settings.retag:
            check_same_selection(standing, settings)
        lookup = read_lookup(spark, settings.lookup, settings.on_conflict)
        counts["rows"] = lookup.rows
    this = Run(settings, lookup, output, started, run_id, phases)
    with phases.jobs("lookup: files on all executors"):
        check_same_files(spark, inputs, output.scans, run_id)
    return retag(spark, this) if settings.retag else count(spark, this)


def count(spark: SparkSession, this: Run) -> Result:
    """Lists, scans, checks and publishes; or finds that nothing has changed since the last run."""
    settings, output, phases = this.settings, this.output, this.phases
    with phases.phase("list") as counts:
        found = find_files(spark, settings.input, settings.reader, settings.selection, allow_empty=settings.allow_empty)
        counts |= {"files": len(found.files), "bytes": sum(file.size for file in found.files)}
    late: list[str] = []
    if settings.skip_unchanged:
        with output.turn(this.run_id):
            previous = output.previous()
        unchanged = previous and previous.is_current(found.files, this.lookup.sha256, settings)
        if previous and unchanged and not output.missing_results():
            return Result(previous.summary.content, None)
        late = previous.late_files(found.files) if previous else []

    with phases.phase("scan") as counts:
        name, stored, books = scan(spark, this, found)
        bad = set(books.bad_files)
        size = sum(file.size for file in found.files if file.path not in bad)
        counts |= {"files": books.files, "bytes": size, "lines": books.totals["lines"]}
    with phases.phase("check") as counts:
        check_access(books, [file.path for file in found.files])
        check(books, stored, settings)
        counts["lines"] = books.totals["lines"]
    with output.turn(this.run_id) as still_ours:
        standing = output.standing()  # another run may have published meanwhile
        if standing:
            check_same_selection(standing, settings)
        return publish(this, CheckedScan(stored, name, books, late, [*found.not_searched]), standing, still_ours)


def scan(spark: SparkSession, this: Run, found: LogFiles) -> tuple[str, DataFrame, Books]:
    """Reads all files, once, and stores what was found. Returns the stored scan's name, the stored scan, and its books.

    Files that Spark's reader could not hand over are read once more: it gives up at the first fault, while flowspark's own
    reader has tried again by itself.
    """
    layout = parse_layout(this.settings.layout) if this.settings.layout else None
    scans, phases = this.output.scans, this.phases
    with phases.jobs("scan: survey of large files"):
        frame = scan_files(spark, found, layout)
    name = store_scan(frame, scans, this.run_id)
    with phases.jobs("scan: files on all executors"):
        check_same_files(spark, this.settings.input, scans, this.run_id)  # by now, more executors may have joined
    stored = load_scan(spark, scans, name)
    paths = [file.path for file in found.files]
    with phases.jobs("scan: books"):
        books = read_books(stored, paths)
    if not books.vanished:
        return name, stored, books
    again = books.vanished[:_READ_AGAIN]
    log.info("%s file(s) could not be read, %s are read once more", f"{len(books.vanished):,}", f"{len(again):,}")
    with phases.jobs("scan: files that could not be read, once more"):
        store_scan(scan_files(spark, found.only(again), layout), scans, this.run_id)
    stored = load_scan(spark, scans, name)
    with phases.jobs("scan: books"):
        return name, stored, read_books(stored, paths, partial(why_unread, spark))


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
        with this.phases.phase("check") as counts:
            stored = load_scan(spark, this.output.scans, previous.summary.scan)
            books = read_books(stored, [file.path for file in previous.files], previous.why_left_out)
            check(books, stored, again.settings)
            counts["lines"] = books.totals["lines"]
        not_searched = previous.summary.content.get("not_searched") or []
        checked = CheckedScan(stored, previous.summary.scan, books, [], not_searched)
        return publish(again, checked, previous.summary, still_ours)


def check(books: Books, stored: DataFrame, settings: Settings) -> None:
    """Checks all that must hold before anything is published.

    Raises:
        InputError: bad files, which are checked first.
        CheckError: the books do not balance, or too many lines were rejected.
    """
    check_files(books, settings.on_bad_file)
    check_books(books)
    if books.too_many_rejects(settings.reject_limit):
        rejects = first_rejects(stored, books, _EXAMPLES)
        raise rejects_error(books, settings.reject_limit, [row.asDict() for row in rejects.collect()])

"""The sentence that a run is: list, scan, check, count, publish."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

import flowspark
from flowspark.books import Books, check_books, check_files, read_books, rejects_error
from flowspark.decode.split import REJECT_REASONS
from flowspark.layouts import parse_layout
from flowspark.lookup import Lookup, lookup_frame, read_lookup
from flowspark.outputs import (
    FILES,
    PORT_PROTOCOL_COUNTS,
    REJECTS,
    TAG_COUNTS,
    Output,
    Top,
    check_output,
    files_of,
    port_order,
    rejects_of,
    tag_order,
)
from flowspark.protocols import protocol_label
from flowspark.scan import find_files, scan_files
from flowspark.settings import Settings
from flowspark.tagging import count_port_protocols, count_tags, tag_flows

log = logging.getLogger(__name__)

ALL = "all"
_EXAMPLES = 5


@dataclass(frozen=True)
class Result:
    """What a run has published: its summary and, for people, the top of the two results."""

    summary: dict[str, Any]
    tags: Top
    ports: Top


def run(spark: SparkSession, settings: Settings) -> Result:
    """Runs the job.

    Raises:
        FlowsparkError: whatever went wrong; what was published before is as it was.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    lookup = read_lookup(spark, settings.lookup, settings.on_conflict)
    check_output(settings.output, settings.input)
    found = find_files(spark, settings.input, settings.reader)
    log.info("run %s: %s log file(s), %s mapping(s)", run_id, f"{len(found.files):,}", f"{len(lookup.mappings):,}")

    output = Output(spark, settings.output, ALL, settings.output_format)
    scan = scan_files(spark, found, parse_layout(settings.layout) if settings.layout else None)
    folder = output.store_scan(scan, run_id)
    stored = output.load_scan(folder, scan.schema)

    books = read_books(stored, [file.path for file in found.files])
    check(books, stored, settings)
    tags, ports = publish(output, stored, books, lookup)
    finished = datetime.now(UTC)
    identity = {"run_id": run_id, "started": _text(started), "finished": _text(finished), "scan": folder}
    summary = output.publish_summary(summarise(books, lookup, settings, tags.untagged) | identity)
    return Result(summary, tags, ports)


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


def publish(output: Output, stored: DataFrame, books: Books, lookup: Lookup) -> tuple[Top, Top]:
    """Counts the stored tallies and replaces the interval's results; all but the summary, which comes last."""
    tallies = (
        stored.where(F.col("tally").isNotNull())
        .groupBy("tally.dstport", "tally.protocol")
        .agg(F.sum("tally.flows").alias("flows"))
        .withColumn("log_status", F.lit("OK"))  # only flows are tallied
    )
    table = lookup_frame(stored.sparkSession, lookup)
    output.publish(TAG_COUNTS, tallies.transform(tag_flows, table).transform(count_tags, "flows"), tag_order())
    output.publish(PORT_PROTOCOL_COUNTS, tallies.transform(count_port_protocols, "flows"), port_order())
    output.publish(REJECTS, rejects_of(stored, books), [F.asc("file"), F.asc("line")])
    output.publish(FILES, files_of(stored, books), [F.asc("path")])
    return output.top(TAG_COUNTS), output.top(PORT_PROTOCOL_COUNTS)


def summarise(books: Books, lookup: Lookup, settings: Settings, untagged: int) -> dict[str, Any]:
    """The summary, but for what tells one run from another."""
    flows = books.totals["flows"]
    return {
        "flowspark": flowspark.__version__,
        "interval": ALL,
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
        "settings": dataclasses.asdict(settings)
        | {"input": list(settings.input), "max_reject_ratio": str(settings.max_reject_ratio)},
    }


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

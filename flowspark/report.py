"""What a person reads at the end of a run: the two results, the books, and what is worth a second look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowspark.errors import printable
from flowspark.layouts import repeated_fields
from flowspark.lookup import shown_tags
from flowspark.missing import MOST_ENTRIES, not_searched_warning

if TYPE_CHECKING:
    from flowspark.outputs import Top
    from flowspark.publishing import Result

_BAD_FILES_SHOWN = 20
_SLOW = 100_000  # lines: plain Python takes a second longer for them


def tables(result: Result) -> str:
    """The first rows of the two results as tables, the books in one line, and where the output is."""
    summary = result.summary
    output = printable(summary["settings"]["output"])
    if result.tops is None:
        return (
            f"interval={summary['interval']} is unchanged since run {summary['run_id']}: the same log files, lookup and "
            f"settings; nothing was done\n\nOutput: {output}"
        )
    tags, ports = result.tops
    books = summary["books"]
    flows = books["flows"]
    parts = [
        _table(["tag"], tags, flows),
        _table(["dstport", "protocol"], ports, flows),
        f"{books['files']:,} file(s), {books['lines']:,} lines = {books['header']:,} header + {books['blank']:,} blank + "
        f"{flows:,} flows + {books['nodata']:,} nodata + {books['skipdata']:,} skipdata + {books['rejected']:,} rejected; "
        f"{summary['tagged']:,} flows tagged, {summary['untagged']:,} not",
        f"Output: {output} (interval={summary['interval']})",
    ]
    return "\n\n".join(parts)


def json_line(summary: dict[str, Any]) -> str:
    """The summary as one line of ASCII JSON: every encoding has its characters, and none of them can steer a terminal."""
    return json.dumps(summary)


def _table(names: list[str], top: Top, flows: int) -> str:
    """A table of rows, with each count's share of all flows, and at its end how many more rows there are."""
    header = [*names, "flows", "share"]
    rows = [
        [
            *("-" if value is None else printable(str(value)) for value in row[:-1]),
            f"{row[-1]:,}",
            f"{100 * row[-1] / flows:.2f} %",
        ]
        for row in top.rows
    ]
    widths = [max(len(line[place]) for line in [header, *rows]) for place in range(len(header))]

    def line(cells: list[str]) -> str:
        texts = (cell.ljust(width) for cell, width in zip(cells[: len(names)], widths, strict=False))
        counts = (cell.rjust(width) for cell, width in zip(cells[len(names) :], widths[len(names) :], strict=True))
        return "  ".join([*texts, *counts]).rstrip()

    lines = [line(header), line(["-" * width for width in widths]), *(line(row) for row in rows)]
    if top.total > len(rows):
        lines.append(f"… and {top.total - len(rows):,} row(s) more")
    return "\n".join(lines)


def _decoder_warning(summary: dict[str, Any]) -> Iterator[str]:
    if summary.get("decoder") == "python" and summary["books"]["lines"] > _SLOW:
        yield (
            "the logs were decoded in plain Python, which takes some hundred times as long: the workers' flowspark has no "
            "compiled decoder for their machines; install one that scripts/package has built"
        )


def warnings(summary: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each thing in the summary that is worth a second look."""
    books, lookup = summary["books"], summary["lookup"]
    if summary["late_files"]:
        late = len(summary["late_files"])
        many = f"more than {MOST_ENTRIES:,}" if late > MOST_ENTRIES else f"{late:,}"
        yield f"{many} file(s) are new since the last run of the interval, or have changed"
    if summary.get("not_searched"):
        yield not_searched_warning(summary["not_searched"])
    yield from _decoder_warning(summary)
    if books["skipdata"]:
        yield (
            f"{books['skipdata']:,} SKIPDATA record(s): AWS lost records at the source. Each such line "
            "stands for one or more lost records, which are missing from the counts"
        )
    if books["rejected"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary["reject_reasons"].items() if count)
        named = "names each" if books["rejects_stored"] == books["rejected"] else "has the first 100,000 of each file"
        yield f"{books['rejected']:,} line(s) rejected ({reasons}); the rejects table {named}"
    for bad in summary["bad_files"][:_BAD_FILES_SHOWN]:
        yield f"left out: {bad['path']}: {bad['error']}"
    if books["files_skipped"] > _BAD_FILES_SHOWN:
        yield f"left out: {books['files_skipped'] - _BAD_FILES_SHOWN:,} more file(s); the files table has all of them"
    for layout in summary["layouts"]:
        if repeated := repeated_fields(tuple(layout["layout"].split())):
            yield (
                f"{layout['files']:,} file(s) have a layout that names {', '.join(repeated)} more than once: the first "
                "column of a repeated field counts, and the others are ignored"
            )
    if summary["unknown_fields"]:
        yield f"unknown field(s), carried as text: {', '.join(summary['unknown_fields'])}"
    if summary["flows_without_ports"]:
        yield f"{summary['flows_without_ports']:,} flow(s) without dstport or protocol: they cannot be tagged"
    if not lookup["mappings"]:
        yield f"the lookup {lookup['path']} has no row: every flow is Untagged"
    if lookup["conflicts"]:
        first = lookup["conflicts"][0]
        yield (
            f"{len(lookup['conflicts']):,} key(s) of the lookup have several tags (on_conflict is "
            f"{summary['settings']['on_conflict']}), the first: port {first['dstport']} {first['protocol']}: "
            f"{shown_tags(first['tags'])}"
        )

"""The summary of an interval: its schema, how it is made, and how a published one is read and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import flowspark
from flowspark.books import KINDS
from flowspark.decode.split import REJECT_REASONS
from flowspark.errors import FlowsparkError
from flowspark.files import normal
from flowspark.lookup import Lookup
from flowspark.missing import MOST_ENTRIES, shortened
from flowspark.phases import PHASE_TYPE
from flowspark.protocols import protocol_label
from flowspark.settings import SETTINGS_TYPE, Settings, settings_from_text
from flowspark.stored_scan import CheckedScan

_COUNTS = ", ".join(f"{name}: bigint" for name in ("files", "files_skipped", *KINDS, "rejected", "rejects_stored"))
_REASONS = ", ".join(f"{reason}: bigint" for reason in REJECT_REASONS)
_CONFLICT = "dstport: int, protocol: string, tags: array<string>"
SUMMARY_SCHEMA = (
    "flowspark string, run_id string, interval string, started string, finished string, inputs array<string>, "
    "lookup struct<path: string, sha256: string, rows: bigint, mappings: bigint, tags: bigint, "
    f"conflicts: array<struct<{_CONFLICT}>>>, books struct<{_COUNTS}>, reject_reasons struct<{_REASONS}>, "
    "tagged bigint, untagged bigint, flows_without_ports bigint, bad_files array<struct<path: string, error: string>>, "
    "layouts array<struct<layout: string, files: bigint>>, unknown_fields array<string>, "
    f"late_files array<string>, not_searched array<string>, phases array<{PHASE_TYPE}>, "
    f"settings {SETTINGS_TYPE}, scan string, decoder string"
)


class DamagedState(Exception):
    """What stands in an output is not what a run has published there; the message says what is wrong."""


@dataclass(frozen=True)
class Summary:
    """The published summary of an interval.

    Attributes:
        content: as it was published, one JSON object.
        settings: those of the run.
        inputs: its inputs, absolute, in one spelling (`files.normal`).
        scan: the name of its stored scan, the last folder of its path.
    """

    content: dict[str, Any]
    settings: Settings
    inputs: tuple[str, ...]
    scan: str


def parse_summary(text: str, label: str) -> Summary:
    """The summary in a published part file.

    Args:
        text: the file's content, one line of JSON.
        label: the interval's label.

    Raises:
        DamagedState: the text is not a summary of the interval: it was cut, edited, or comes from somewhere else.
    """
    if "\n" in text.removesuffix("\n"):
        raise DamagedState("the summary is more than one line")
    try:
        content = json.loads(text)
        settings = settings_from_text(content["settings"])
        inputs = tuple(map(str, content["inputs"]))
        folder, _, scan = str(content["scan"]).rpartition("/")
        _ = (
            content["flowspark"],
            content["run_id"],
            content["interval"],
            content["lookup"]["sha256"],
            content["books"]["files"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, FlowsparkError) as error:
        raise DamagedState(f"the summary cannot be understood ({type(error).__name__}: {error})") from error
    if folder != _scans(label) or not scan.startswith("run="):
        raise DamagedState(f"the summary names a stored scan that is not one of this interval: {content['scan']}")
    return Summary(content, settings, inputs, scan)


def summarise(checked: CheckedScan, lookup: Lookup, settings: Settings, untagged: int) -> dict[str, Any]:
    """The summary of a run, without its id, times and phases.

    Args:
        checked: the stored scan that was counted.
        lookup: the lookup that it was counted with.
        settings: those of the run.
        untagged: the number of flows without a tag.
    """
    books = checked.books
    flows = books.totals["flows"]
    return {
        "flowspark": flowspark.__version__,
        "interval": settings.selection.label,
        "inputs": list(map(normal, settings.input)),
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
        "bad_files": books.first_bad_files,
        "layouts": [{"layout": layout, "files": files} for layout, files in sorted(books.layouts.items())[:MOST_ENTRIES]],
        "unknown_fields": list(shortened(books.unknown_fields)),
        "late_files": list(shortened(checked.late)),
        "not_searched": checked.not_searched,
        "settings": settings.as_text(),
        "scan": f"{_scans(settings.selection.label)}/{checked.name}",
        "decoder": books.decoder,
    }


def _scans(label: str) -> str:
    """Where the stored scans of an interval lie, relative to the output."""
    return f"_scan/interval={label}"

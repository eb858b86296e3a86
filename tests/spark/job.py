"""Runs the whole job on a few files that a test spells out, and reads back what was published, without Spark."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from flowspark import pipeline
from flowspark.settings import Settings
from tests.logs import write

LOOKUP = "dstport,protocol,tag\n443,tcp,web\n53,udp,dns\n22,tcp,ssh\n0,icmp,ping\n"


@dataclass
class Outcome:
    """The published results of a run, read with the standard library."""

    output: Path
    summary: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> list[tuple[str, ...]]:
        """The rows of a published CSV, in order, without the header."""
        return read_csv(self.output, name)[1:]

    @property
    def tags(self) -> list[tuple[str, int]]:
        return [(tag, int(count)) for tag, count in self.table("tag_counts")]

    @property
    def ports(self) -> list[tuple[str, str, int]]:
        return [(port, protocol, int(count)) for port, protocol, count in self.table("port_protocol_counts")]

    @property
    def rejects(self) -> list[tuple[str, int, str, str]]:
        """File names instead of paths."""
        return [(Path(file).name, int(line), reason, text) for file, line, reason, text in self.table("rejects")]

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """The rows of the files table by file name."""
        header, *rows = read_csv(self.output, "files")
        return {Path(row[0]).name: dict(zip(header, row, strict=True)) for row in rows}


def read_csv(output: Path, name: str, label: str = "all") -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(read_part(output, name, label).decode(), newline=""))]


def read_part(output: Path, name: str, label: str = "all") -> bytes:
    """The bytes of the one part file of a result."""
    (part,) = (output / name / f"interval={label}").glob("part-*")
    return part.read_bytes()


def run_job(
    spark: SparkSession, folder: Path, logs: dict[str, bytes], lookup: str | bytes = LOOKUP, **settings: Any
) -> Outcome:
    """Runs the job over log files given by name; `settings` are those of a run."""
    for name, content in logs.items():
        write(folder / "logs" / name, content)
    write(folder / "lookup.csv", lookup if isinstance(lookup, bytes) else lookup.encode())
    if "max_reject_ratio" in settings:
        settings["max_reject_ratio"] = Decimal(settings["max_reject_ratio"])
    paths = {"input": (str(folder / "logs"),), "lookup": str(folder / "lookup.csv"), "output": str(folder / "out")}
    chosen = Settings(**(paths | settings))
    result = pipeline.run(spark, chosen)
    outcome = Outcome(Path(chosen.output), published_summary(Path(chosen.output)))
    assert outcome.summary == json.loads(json.dumps(result.summary))
    return outcome


def published_summary(output: Path, label: str = "all") -> dict[str, Any]:
    return json.loads(read_part(output, "summary", label))

"""What a run past one machine costs after its scan: a stored scan as many splits would leave it is checked and published.

    scripts/bench/run scale [--splits 1k,10k] [--files 1M]

No log is read: the stored scan is made up and written directly. Each split has a tally of 57,000 rows (about what a
gigabyte of gzip holds) and its share of the files' audits. The scan is then checked, joined, counted and published on
Spark's `local-cluster`: a driver and an executor with two cores, each a process of its own with a heap of 1 GB (Spark's
default).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import measure
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sizes import sizes

from flowspark.decode.split import READ, SCAN_SCHEMA
from flowspark.fields import fields_of_version

ROOT = Path(__file__).parent.parent.parent
SEED = 20261122
MASTER = "local-cluster[1,2,1024]"
SCAN, LABEL = "run=20261122T000000Z-00000000", "all"
TALLY = 57_000  # rows of a split
IN_A_ROW = 64  # counts in one row of the scan, as decode/split.py stores them
PORTS = 1 << 16
PROTOCOLS = (6, 17)
LAYOUT = " ".join(fields_of_version(2))

Longs = npt.NDArray[np.int64]


def write_scan(output: Path, splits: int, files: int) -> Longs:
    """Writes a stored scan, one Parquet file for each split. Returns the flows of each protocol (rows) and dstport."""
    folder = output / "_scan" / f"interval={LABEL}" / SCAN
    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    total = np.zeros(len(PROTOCOLS) * PORTS, np.int64)
    for split, share in enumerate(_shares(files, splits)):
        keys = np.sort(random.choice(len(total), TALLY, replace=False))
        flows = (random.pareto(1.0, TALLY) * 100).astype(np.int64) + 1
        total[keys] += flows
        table = pa.concat_tables([_audits(split, share, int(flows.sum())), _tally(keys, flows)])
        pq.write_table(table, folder / f"part-{split:05}-scan.snappy.parquet", compression="snappy")
    return total.reshape(len(PROTOCOLS), PORTS)


def _tally(keys: Longs, flows: Longs) -> pa.Table:
    """The rows of the scan that hold a split's tally."""
    kind = SCAN_SCHEMA.field("tally").type
    protocols, ports = np.divmod(keys, PORTS)
    columns = (ports, np.array(PROTOCOLS)[protocols], flows)
    counts = pa.StructArray.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, kind.value_type, strict=True)],
        fields=list(kind.value_type),
    )
    edges = pa.array([*range(0, len(keys), IN_A_ROW), len(keys)], pa.int32())
    return _rows(tally=pa.ListArray.from_arrays(edges, counts, type=kind))


def _shares(number: int, parts: int) -> list[int]:
    """A number as a sum of so many parts, which differ by one at most."""
    shares: list[int] = np.diff(np.linspace(0, number, parts + 1).astype(np.int64)).tolist()
    return shares


def _paths(split: int, count: int) -> list[str]:
    return [f"s3://bucket/logs/{split:05}/{number:08}.log.gz" for number in range(count)]


def _audits(split: int, count: int, flows: int) -> pa.Table:
    """The rows of the scan that hold the audits of a split's files, which share its flows."""
    kind = SCAN_SCHEMA.field("file").type
    shares = np.array(_shares(flows, count))
    zeros = np.zeros(count, np.int64)
    values = {
        "path": _paths(split, count),
        "size": zeros + 1_000_000,
        "stop": zeros + 1_000_000,
        "modified": ["2026-11-22T00:00:00Z"] * count,
        "status": [READ] * count,
        "error": [None] * count,
        "layouts": [[LAYOUT]] * count,
        "lines": shares + 1,
        "header": zeros + 1,
        "flows": shares,
        "refused": [False] * count,
        "decoder": ["compiled"] * count,
    }
    fields = [pa.array(values.get(field.name, zeros), field.type) for field in kind]
    return _rows(file=pa.StructArray.from_arrays(fields, fields=list(kind)))


def _rows(**column: pa.Array) -> pa.Table:
    """Rows of the scan in which only this column is set."""
    ((name, values),) = column.items()
    arrays = [values if field.name == name else pa.nulls(len(values), field.type) for field in SCAN_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCAN_SCHEMA)


def publish(output: Path, splits: int, files: int) -> None:
    """Checks, joins, counts and publishes the stored scan; prints the seconds of each step and each process's memory."""
    from flowspark.books import read_books
    from flowspark.lookup_table import read_lookup
    from flowspark.outputs import Output
    from flowspark.phases import Phases
    from flowspark.pipeline import check
    from flowspark.publishing import Run
    from flowspark.publishing import publish as publish_scan
    from flowspark.session import spark_session
    from flowspark.settings import Settings
    from flowspark.stored_scan import CheckedScan, load_scan

    listed = [path for split, share in enumerate(_shares(files, splits)) for path in _paths(split, share)]
    settings = Settings(("s3://bucket/logs",), str(ROOT / "tests" / "sample" / "lookup.csv"), str(output))
    with spark_session(debug=False) as spark:
        results = Output(spark, settings.output, LABEL, settings.output_format)
        phases, started = Phases(spark, SCAN), datetime.now(UTC)
        run = Run(settings, read_lookup(spark, settings.lookup), results, started, SCAN.removeprefix("run="), phases)
        with phases.phase("check"):
            stored = load_scan(spark, results.scans, SCAN)
            books = read_books(stored, listed)
            check(books, stored, settings)
        with results.turn(run.run_id) as still_ours:
            publish_scan(run, CheckedScan(stored, SCAN, books, [], []), None, still_ours)
        steps = {phase["phase"]: phase["seconds"] for phase in phases.done}
        print(json.dumps({"steps": steps, "memory": measure.memory_by_role(os.getpid())}))


def _found(output: Path) -> Iterator[tuple[int, int, int]]:
    """Protocol, dstport and flows of each row that was published."""
    (part,) = (output / "port_protocol_counts" / f"interval={LABEL}").glob("part-*")
    with part.open(newline="") as file:
        for row in csv.DictReader(file):
            yield ["tcp", "udp"].index(row["protocol"]), int(row["dstport"]), int(row["count"])


def main() -> None:
    """Measures, and prints the table."""
    flags = argparse.ArgumentParser(prog="scripts/bench/run scale", description=__doc__)
    flags.add_argument("--splits", type=sizes, default=[1000, 10_000])
    flags.add_argument("--files", type=sizes, default=[1_000_000])
    flags.add_argument("--cores", type=int, default=2)
    given = flags.parse_args()
    heads = ["splits", "files", "stored MB", "CPU s", "check s", "publish s", *(f"{role} MB" for role in measure.ROLES)]
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    for splits in given.splits:
        for files in given.files:
            with tempfile.TemporaryDirectory(prefix="flowspark-bench-") as folder:
                output = Path(folder) / "output"
                truth = write_scan(output, splits, files)
                stored = sum(path.stat().st_size for path in output.rglob("*.parquet"))
                command = [sys.executable, __file__, "publish", str(output), str(splits), str(files)]
                environment = {"PYSPARK_SUBMIT_ARGS": f"--master {MASTER} pyspark-shell", "PYSPARK_PYTHON": sys.executable}
                cost = measure.run(command, cores=given.cores, text="", env=environment)
                found = np.zeros_like(truth)
                for protocol, port, flows in _found(output):
                    found[protocol, port] = flows
                if not np.array_equal(found, truth):
                    raise SystemExit(f"what was published is not what the stored scan of {splits:,} splits has")
                told = json.loads(cost.said.splitlines()[-1])
                memory = (f"{told['memory'].get(role, 0):.0f}" for role in measure.ROLES)
                steps = (f"{told['steps'][step]:.1f}" for step in ("check", "publish"))
                cells = (f"{splits:,}", f"{files:,}", f"{stored / 1e6:,.0f}", f"{cost.cpu:.1f}", *steps, *memory)
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["publish"]:
        publish(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        main()

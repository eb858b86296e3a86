"""The benchmark: each engine on each case at some sizes, interleaved; what a million more records cost, size by size."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import data
import measure
import s3
from sizes import sizes

from flowspark.protocols import KEYWORDS

ROOT = Path(__file__).parent.parent.parent
FLOWSPARK, LIBRARY, DECODER, FLOOR = "flowspark", "library", "decoder", "floor"
ENGINES = (FLOWSPARK, "duckdb", "duckdb-auto", "polars", LIBRARY, DECODER, FLOOR)
READERS = {FLOWSPARK: "auto", "flowspark-direct": "direct", "flowspark-spark": "spark"}
"""The whole job by its name in --engines, and the `--reader` that it is given."""
LEFT_OUT = dict.fromkeys(("crlf", "blank", "one-gz", "all-bad"), ("duckdb", "duckdb-auto", "polars"))
"""Engines that a case says nothing about: it tells what flowspark makes of odd lines, or of one large file."""
LEFT_OUT["bad"] = ("duckdb-auto",)  # one bad number, and it takes all ports of the column for texts

IN_S3 = (*READERS, "duckdb", "duckdb-auto", "polars")
"""Engines that can read from an S3 server."""

Costs = dict[int, list[measure.Cost]]
Numbers = dict[str, float]


def main() -> None:
    """Measures what the flags ask for, prints the table and writes it as JSON too."""
    flags = _parser().parse_args()
    if flags.s3 and not set(flags.engines) <= set(IN_S3):
        raise SystemExit(f"--engines: from S3 there are {','.join(IN_S3)}")
    results: dict[str, dict[str, Numbers]] = {}
    with _environment(flags) as environment:
        for case in flags.cases:
            results |= _measure(case, flags, environment)
    about = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": flags.cores,
        "rounds": flags.rounds,
        "records": flags.records,
    }
    versions = {name: metadata.version(name) for name in ("pyspark", "pyarrow", "numpy", "isal")}
    versions |= {name: _version(flags.others, name) for name in ("duckdb", "polars")}
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    report = about | {"machine": machine, "versions": versions, "cases": results}
    name = "-".join(["s3"] * bool(flags.s3) + flags.cases)
    report_file = flags.json or flags.data / f"{name}.{flags.cores}-cores.json"
    report_file.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{flags.cores} core(s), {machine}, {', '.join(f'{k} {v}' for k, v in versions.items())}, {about['date']}")


def _measure(case: str, flags: argparse.Namespace, environment: dict[str, str]) -> dict[str, dict[str, Numbers]]:
    """Runs all engines on a case, round by round, and prints and returns its tables."""
    places = {size: data.make(flags.data, case, size) for size in flags.records}
    engines = [name for name in flags.engines if name not in LEFT_OUT.get(case, ())]
    costs: dict[str, Costs] = {name: {size: [] for size in flags.records} for name in engines}
    if jobs := [name for name in engines if name in READERS]:
        # a first run is not measured: it finds a cold cache of files
        _run(jobs[0], case, next(iter(places.values())), flags, environment)
    for number in range(flags.rounds):
        for size, place in places.items():
            for name in engines:
                cost = _run(name, case, place, flags, environment)
                costs[name][size].append(cost)
                print(f"{case} {size:,} round {number + 1} {name}: {cost}", file=sys.stderr)
    results = {}
    for small, large in pairwise(flags.records) if len(flags.records) > 1 else [(0, flags.records[0])]:
        title = f"{case}{' on S3' if flags.s3 else ''}: from {small:,} to {large:,} records"
        results[title] = {name: _marginal(costs[name], small, large) for name in engines}
        print(_table(title, results[title]), flush=True)
    return results


@contextmanager
def _environment(flags: argparse.Namespace) -> Iterator[dict[str, str]]:
    """What the engines' environment has beside this process's own; with --s3, a server runs meanwhile."""
    threads = {"POLARS_MAX_THREADS": str(flags.cores)}
    if not flags.s3:
        yield threads
        return
    # --jars, not a longer class path: Java then keeps the archive of its classes, and a run costs 5 to 10 CPU seconds less
    arguments = f"--properties-file {ROOT / 'conf' / 'spark-s3.conf'} --jars {flags.jars} pyspark-shell"
    with s3.serve(flags.s3, flags.data) as server:
        yield threads | server | {"PYSPARK_SUBMIT_ARGS": arguments}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench/run", description=__doc__)
    folder = Path(os.environ.get("FLOWSPARK_BENCH") or Path(tempfile.gettempdir()) / f"flowspark-bench-{os.getuid()}")
    parser.add_argument("--cases", type=_list, default=list(data.CASES), help=f"of {','.join(data.CASES)}")
    parser.add_argument("--engines", type=_list, default=list(ENGINES), help=f"of {','.join(ENGINES + tuple(READERS)[1:])}")
    parser.add_argument("--records", type=sizes, default=sizes("1M,8M"), help="sizes, smallest first; default 1M,8M")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--data", type=Path, default=folder, help=f"where the logs are made; default {folder}")
    parser.add_argument("--json", type=Path, help="default: in the folder of the data, named by the cases")
    parser.add_argument("--others", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--s3", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jars", help=argparse.SUPPRESS)
    return parser


def _list(text: str) -> list[str]:
    return text.split(",")


def _run(name: str, case: str, place: Path, flags: argparse.Namespace, environment: dict[str, str]) -> measure.Cost:
    """Runs one engine once, and checks that it has counted what there is to count."""
    logs = f"s3://{place.name}/logs" if flags.s3 else str(place / "logs")
    with tempfile.TemporaryDirectory(prefix="flowspark-bench-") as folder:
        out = Path(folder) / "counts"
        if name in READERS:
            job = [str(ROOT / "jobs" / "tag_flows.py"), "--max-reject-ratio", "1", "--log-level", "WARNING"]
            job += ["--input", logs, "--reader", READERS[name]]
            job += ["--lookup", str(ROOT / "tests/sample/lookup.csv"), "--output", str(out)]
            command = [sys.executable, *job]
        else:
            python = sys.executable if name in (LIBRARY, DECODER, FLOOR) else flags.others
            script = str(ROOT / "scripts" / "bench" / "engines.py")
            command = [python, script, name, str(flags.cores), str(out), *data.CASES[case].layout]
        paths = "\n".join(f"{logs}/{path.name}" for path in data.files(place))
        cost = measure.run(command, cores=flags.cores, text=paths, env=environment)
        if name != FLOOR:
            found = _published(out) if name in READERS else json.loads(out.read_text())
            if found != json.loads((place / "truth.json").read_text()):
                raise SystemExit(f"{name} has counted something else than what is in {place}")
        return cost


def _published(output: Path) -> list[list[int]]:
    numbers = {label: number for number, label in KEYWORDS.items()}
    part = next((output / "port_protocol_counts" / "interval=all").glob("part-*"))
    with part.open(newline="") as file:
        rows = csv.DictReader(file)
        return sorted([int(r["dstport"]), numbers[r["protocol"]], int(r["count"])] for r in rows)


def _marginal(costs: Costs, small: int, large: int) -> Numbers:
    """Seconds of each further million records between two sizes; then the larger run's own."""
    last = _median(costs[large])
    first = _median(costs[small]) if small else dict.fromkeys(last, 0.0)
    millions = (large - small) / data.MILLION
    more = {f"{kind}_a_million": (last[kind] - first[kind]) / millions for kind in ("cpu", "wall")}
    return more | last


def _median(costs: Sequence[measure.Cost]) -> Numbers:
    return {kind: statistics.median(asdict(cost)[kind] for cost in costs) for kind in ("wall", "cpu", "peak", "worker")}


def _table(title: str, rows: dict[str, Numbers]) -> str:
    """Markdown."""
    others = [name for name in ("duckdb", "polars") if name in rows]
    heads = ["CPU s / M", *(f"x {name}" for name in others), "wall s / M", "CPU s", "wall s", "peak MB", "worker MB"]
    lines = [
        f"\n{title}\n",
        "| " + " | ".join(["", *heads]) + " |",
        "|" + "---|" * (len(heads) + 1),
    ]
    for name, row in rows.items():
        cpu = row["cpu_a_million"]
        ratios = [f"{cpu / rows[other]['cpu_a_million']:.2f}" for other in others]
        rest = [
            f"{row['cpu']:.1f}",
            f"{row['wall']:.1f}",
            f"{row['peak']:.0f}",
            f"{row['worker']:.0f}" if row["worker"] else "",
        ]
        lines.append("| " + " | ".join([name, f"{cpu:.3f}", *ratios, f"{row['wall_a_million']:.3f}", *rest]) + " |")
    return "\n".join(lines)


def _version(python: str, package: str) -> str:
    """The version of a package in another environment."""
    code = "import sys; from importlib import metadata; print(metadata.version(sys.argv[1]))"
    return subprocess.run([python, "-c", code, package], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()

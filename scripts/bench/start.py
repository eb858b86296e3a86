"""How long a run takes from the shell, beside a bare Spark session of the same minutes.

    scripts/bench/run start [--rounds 5]

`session` starts Spark, runs one trivial mapInArrow, and prints; `job` is the whole job on the bundled sample. Each as Spark
comes, and as flowspark starts it in local mode: with Java's flags for short runs, and with the archive of classes that
scripts/env has written. The result is there when the last line is printed; after that Spark takes a second to stop.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "tests" / "sample"


def session(how: str) -> None:
    """A session and one trivial job."""
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from flowspark.session import spark_session

    def same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    def work(spark: SparkSession) -> None:
        print(len(spark.range(2).mapInArrow(same, "id long").collect()), flush=True)

    if how == "plain":
        spark = SparkSession.builder.master("local[*]").getOrCreate()
        work(spark)
        spark.stop()
    else:
        with spark_session(debug=False) as spark:
            work(spark)


def run(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds until the last line, and until the end."""
    begun = last = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYSPARK_PYTHON": sys.executable} | env,
    ) as process:
        assert process.stdout
        for _ in process.stdout:
            last = time.perf_counter()
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return last - begun, time.perf_counter() - begun


def main() -> None:
    """Measures, and prints the table."""
    flags = argparse.ArgumentParser(prog="scripts/bench/run start", description=__doc__)
    flags.add_argument("--rounds", type=int, default=5)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = [str(ROOT / "jobs" / "tag_flows.py"), "--input", str(SAMPLE / "logs"), "--lookup", str(SAMPLE / "lookup.csv")]
        job += ["--output", f"{folder}/out"]
        none: dict[str, str] = {"FLOWSPARK_CLASS_ARCHIVE": "off"}
        archive: dict[str, str] = {}
        ways = {
            "session, as Spark comes": ([__file__, "plain"], none),
            "session, with flags": ([__file__, "ours"], none),
            "session, with flags and archive": ([__file__, "ours"], archive),
            "job, with flags": (job, none),
            "job, with flags and archive": (job, archive),
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, (command, env) in ways.items():
                took[name].append(run(command, env))
    print("\n| | s to the result | s to the end |\n|---|---|---|")
    for name, times in took.items():
        result, end = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {name} | {result:.1f} | {end:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] in (["plain"], ["ours"]):
        session(sys.argv[1])
    else:
        main()

"""Spark Connect: the library and the job on a session that has no JVM at hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowspark.progress import CLEAR
from tests.logs import NODATA, flow, log, write
from tests.quick_java import JAVA

ROOT = Path(__file__).parent.parent.parent

# A process of its own: a Connect session and a classic one cannot live in the same one.
CODE = """
import sys, time, flowspark
from pathlib import Path
from pyspark.sql import SparkSession
from flowspark import pipeline, progress, splits
from flowspark.phases import Phases
from flowspark.settings import Settings
folder = Path(sys.argv[1])
spark = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false").getOrCreate()
lookup = flowspark.load_lookup(spark, str(folder / "lookup.csv"))
for reader in ("direct", "spark"):
    records = flowspark.read_flow_logs(spark, str(folder / "logs"), reader=reader)
    tagged = records.transform(flowspark.tag_flows, lookup=lookup)
    print(reader, sorted(tuple(row) for row in tagged.transform(flowspark.count_tags).collect()))
    print(reader, sorted(tuple(row) for row in records.transform(flowspark.count_port_protocols).collect()))
def run(name):
    paths = (str(folder / name),), str(folder / "lookup.csv"), str(folder / "out")
    settings = Settings(*paths, max_reject_ratio=1, replace=True)
    return pipeline.run(spark, settings).summary
print(run("logs")["books"]["rejected"])
whole = run("large")
splits._UNCUT, splits._RANGE, splits._EVEN = 1000, 300, 0
cut = run("large")
print(cut["books"] == whole["books"], cut["books"]["rejected"])
print(spark.read.parquet(str(folder / "out" / cut["scan"])).where("file.start > 0").count() > 3)
progress._LONG = progress._INTERVAL = 0.05
def wait(batches):
    time.sleep(1)  # the server tells of its progress every two seconds
    yield from batches
with Phases(spark, "run", progress=True).phase("scan"):
    spark.range(0, 12, 1, 12).mapInArrow(wait, "id long").count()
spark.stop()
"""


@pytest.mark.newest  # local Connect sessions came with Spark 4
def test_the_library_and_the_job_work_on_spark_connect(tmp_path):
    write(tmp_path / "logs" / "a.log", log(flow(443), flow(443), NODATA, "bad"), compress=True)
    write(tmp_path / "logs" / "b.log", log("53 17 OK x", header="dstport protocol log-status new-field"))
    write(tmp_path / "large" / "c.log", log(*[flow(53, 17), NODATA, "bad"] * 9))
    write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    run = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "JDK_JAVA_OPTIONS": JAVA},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    counts = ["[('Untagged', 1), ('web', 2)]", "[(53, 'udp', 1), (443, 'tcp', 2)]"]
    printed = [f"direct {text}" for text in counts] + [f"spark {text}" for text in counts]
    assert run.stdout.splitlines()[-7:] == [*printed, "1", "True 9", "True"]
    shown = run.stderr.split(CLEAR.replace("\r", "\n"))  # as a process's text is read
    assert any(re.fullmatch(r"scan: ([1-9]|1[01]) of 12 tasks, \d+ s, about \d+ s left", line) for line in shown), shown
    assert "scan: " not in shown[-1], shown[-1]  # no progress is left; the server may log something of its own at its end

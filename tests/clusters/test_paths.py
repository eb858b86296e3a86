"""Local paths and workers' access on a cluster of which one machine is like the driver's, and one is not.

The other worker has a disk of its own in one folder, and no credentials for S3.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest

from tests.clusters.standalone import standalone
from tests.logs import flow, log, write

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
LOOKUP = b"dstport,protocol,tag\n443,tcp,web\n"
TAGS = b"tag,count\nweb,8\n"

# One session for all cases: prints a line of JSON for each, with the error, or with what was counted.
CASES = """
import json, sys
from pyspark.sql import SparkSession
import flowspark
from flowspark import pipeline, splits
from flowspark.settings import load_settings

master, cases = sys.argv[1], json.loads(sys.argv[2])
splits._SMALLEST = 1  # a task for each of a few small files
# two executors from the beginning
settings = {"spark.cores.max": 2, "spark.scheduler.minRegisteredResourcesRatio": 1, "spark.executor.memory": "600m"}
settings |= {"spark.scheduler.maxRegisteredResourcesWaitingTime": "60s", "spark.ui.enabled": "false"}
java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
settings |= {"spark.driver.extraJavaOptions": java, "spark.executor.extraJavaOptions": java}
settings |= {"spark.submit.pyFiles": sys.argv[3]}
settings |= {"spark.task.maxFailures": 1}  # a second try might come to the other executor
spark = SparkSession.builder.master(master).config(map=settings).getOrCreate()
spark.sparkContext.setLogLevel("OFF")
for how, given in cases:
    try:
        if how == "job":
            found = pipeline.run(spark, load_settings(given)).summary["books"]["flows"]
        else:
            found = flowspark.read_flow_logs(spark, **given).count()
        print(json.dumps([0, found]))
    except Exception as error:
        print(json.dumps([getattr(error, "exit_code", None), str(error)]))
spark.stop()
"""


@contextmanager
def other_worker(master: str, folder: Path, hidden: Path) -> Iterator[None]:
    """A worker with an empty disk at a folder, and without the credentials that all others find in their environment."""
    command = [
        SPARK_CLASS,
        "org.apache.spark.deploy.worker.Worker",
        "--host",
        "127.0.0.9",
        "--webui-port",
        "0",
        "--cores",
        "1",
    ]
    command += ["--memory", "1g", "--work-dir", folder / "work-other", master]
    own_disk = f"mount -t tmpfs none {shlex.quote(str(hidden))} && exec {shlex.join(map(str, command))}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_ACCESS")}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_CONFIG_FILE": "/none"}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.9", "SPARK_DAEMON_MEMORY": "256m"}
    log_file = folder / "worker-other.log"
    with log_file.open("wb") as sink:
        worker = subprocess.Popen(
            [*unshare(), "sh", "-c", own_disk],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while "Successfully registered with master" not in log_file.read_text(errors="replace"):
            assert worker.poll() is None, log_file.read_text(errors="replace")
            assert time.monotonic() < deadline, log_file.read_text(errors="replace")
            time.sleep(0.1)
        yield
    finally:
        worker.terminate()
        worker.wait()


def unshare() -> list[str]:
    """The command that gives a process mounts of its own; without root's rights, also a user of its own."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        if (
            subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode
            == 0
        ):
            return command
    pytest.skip("no process here may have mounts of its own")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "_scan" not in path.parts}


def test_disks_that_differ_and_workers_without_credentials_fail_a_run_and_publish_nothing(tmp_path, bucket, proxy, package):
    shared, hidden = tmp_path / "shared", tmp_path / "hidden"
    for n in range(8):
        for folder in (shared, hidden):
            write(folder / "logs" / f"{n}.log", log(flow(443)))
        bucket.put(f"logs/{n}.log", log(flow(443)))
    lookup = str(write(tmp_path / "lookup.csv", LOOKUP))
    write(hidden / "out" / "tag_counts" / "interval=all" / "part-0.csv", b"tag,count\nold,1\n")
    before = contents(hidden)
    proxy.deny_unsigned()

    def job(logs: object, output: Path, **flags: object) -> tuple[str, dict[str, object]]:
        return "job", {"input": [str(logs)], "lookup": lookup, "output": str(output), **flags}

    on = {"shared_filesystem": True}
    skip = {"reader": "direct", "on_bad_file": "skip"}
    cases = [
        job(shared / "logs", shared / "out"),
        ("read", {"inputs": str(shared / "logs")}),
        job(shared / "logs", shared / "out", **on),
        job(shared / "logs", hidden / "out", **on),
        job(hidden / "logs", shared / "out2", **on, on_bad_file="skip"),
        ("read", {"inputs": str(hidden / "logs"), "on_bad_file": "skip", **on}),
        job(bucket.uri("logs"), shared / "out3", **on, **skip),
        ("read", {"inputs": bucket.uri("logs"), **skip}),
    ]
    with standalone(tmp_path / "cluster", 1, "1g") as cluster, other_worker(cluster.master, tmp_path, hidden):
        run = subprocess.run(
            [sys.executable, "-c", CASES, cluster.master, json.dumps(cases), str(package)],
            capture_output=True, text=True, check=False, timeout=400,
            env=os.environ | {"PYSPARK_PYTHON": sys.executable},
        )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    codes, told = zip(*map(json.loads, run.stdout.splitlines()[-len(cases) :]), strict=True)
    assert codes[:7] == (2, 2, 0, 2, 2, 2, 1), told

    for refused in told[:2]:
        assert refused.startswith(f"input {shared}/logs is a path on a machine's own disk"), refused
    assert told[2] == 8
    (part,) = (shared / "out" / "tag_counts" / "interval=all").glob("part-*")
    assert part.read_bytes() == TAGS

    for differs, lacking in zip(told[3:6], ("out/_scan/interval=all/disk=", "logs/", "logs/"), strict=True):
        assert differs.startswith("executors do not see the files that the driver sees"), differs
        assert f": {hidden}/{lacking}" in differs, differs
    assert contents(hidden) == before
    assert contents(shared / "out2") == {}

    assert " of 8 file(s), and the driver can open " in told[6], told[6]
    assert "spark.executorEnv.AWS_ACCESS_KEY_ID" in told[6]
    assert "ACCESS_DENIED" in told[6]
    assert contents(shared / "out3") == {}
    assert codes[7] is None, told[7]
    assert "check the credentials of the machine that opens it" in told[7]

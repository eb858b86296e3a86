"""The packaged job on a standalone cluster, from bucket to bucket: what it publishes is what a local run publishes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.clusters.conftest import submit, tables
from tests.clusters.standalone import Cluster, standalone
from tests.logs import flow, log
from tests.s3_server import S3_CONF, s3_jars

FILES = 24


@pytest.fixture(scope="module")
def cluster(_server, tmp_path_factory) -> Iterator[Cluster]:  # the workers inherit where the server is
    with standalone(tmp_path_factory.mktemp("standalone")) as running:
        yield running


@pytest.fixture
def run(package, job):
    """Runs the job on a master, with flags; the S3 jars are on each machine, as they are in a cluster's image."""
    jars = s3_jars().replace(",", ":")

    def start(master: str, bucket, output: str, *flags: str):
        command = ["spark-submit", "--master", master, "--properties-file", str(S3_CONF), "--py-files", str(package)]
        command += ["--executor-memory", "600m", "--executor-cores", "1"]
        for name in ("driver", "executor"):
            command += ["--conf", f"spark.{name}.extraClassPath={jars}"]
        command += ["--conf", "spark.ui.enabled=false", str(job), "--output", bucket.uri(output)]
        return submit([*command, "--input", bucket.uri("logs"), "--lookup", bucket.uri("lookup.csv"), *flags])

    return start


def many_files(bucket) -> None:
    """So many objects that reading them, with a server that takes its time, lasts some seconds."""
    for n in range(FILES):
        bucket.put(f"logs/{n:02}.log", log(*[flow(443), flow(53, 17), "bad", flow(n)] * 50))
    bucket.put("lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n53,udp,dns\n")


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_the_packaged_job_publishes_what_a_local_run_publishes(cluster, run, sample, reader):
    local = run("local[2]", sample, "local", "--reader", reader)
    assert local.returncode == 0, local.stdout + local.stderr
    found = run(cluster.master, sample, "cluster", "--reader", reader)
    assert found.returncode == 0, found.stdout + found.stderr
    assert tables(sample, "cluster") == tables(sample, "local")
    assert json.loads(found.stdout.splitlines()[-1])["books"]["files"] == 6
    assert "Finished task" in found.stderr, "on a cluster Spark's own log is left as it is"


def kill_meanwhile(proxy, kill: Callable[[], None]) -> threading.Thread:
    """Kills something once some logs were read and others were not."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and proxy.count("GetObject", under="logs/") < FILES // 4:
            time.sleep(0.05)
        kill()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(("what", "reader"), [("executor", "direct"), ("worker", "spark")])
def test_an_executor_or_a_worker_that_is_killed_in_the_scan_changes_nothing(run, bucket, proxy, tmp_path, what, reader):
    many_files(bucket)
    limit = ("--reader", reader, "--max-reject-ratio", "1")
    local = run("local[2]", bucket, "local", *limit)
    assert local.returncode == 0, local.stdout + local.stderr
    with standalone(tmp_path / "cluster") as cluster:
        killed: list[int] = []

        def kill() -> None:
            victims = cluster.executors(0) if what == "executor" else [cluster.workers[0].pid]
            for pid in victims[:1]:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        proxy.clear()
        proxy.delay(0.7, "GetObject", under="logs/")
        thread = kill_meanwhile(proxy, kill)
        found = run(cluster.master, bucket, "cluster", *limit)
        thread.join()
        assert found.returncode == 0, found.stdout + found.stderr
        assert killed
        assert "Lost executor" in found.stderr, "an operator sees it in Spark's own log"
    assert tables(bucket, "cluster") == tables(bucket, "local")

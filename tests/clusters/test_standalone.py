"""The packaged job on a standalone cluster where something dies or stands still: the results are those of a local run."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.clusters.conftest import SMALL_FILES, job_command, submit, tables
from tests.clusters.standalone import Cluster, Running, standalone
from tests.quick_java import JAVA
from tests.s3_proxy import Proxy

SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.minTaskRuntime": "8s",
    "spark.speculation.task.duration.threshold": "8s",
}
IDLE_TIMEOUT = {
    "spark.sql.execution.pyspark.udf.idleTimeoutSeconds": "12",
    "spark.sql.execution.pyspark.udf.killOnIdleTimeout": "true",
}
RETRIED = "scan: 1 task(s) failed, for example because an executor was lost, and Spark has run them again"


@pytest.fixture(scope="module")
def cluster(_server, tmp_path_factory) -> Iterator[Cluster]:  # the workers inherit where the server is
    folder = tmp_path_factory.mktemp("standalone")
    with standalone(folder, workers=2, memory="1g", SPARK_DAEMON_JAVA_OPTS=JAVA) as running:
        yield running


class Accident(threading.Thread):
    """Lets something happen to the Python process that reads logs, once some were read and others were not."""

    def __init__(self, cluster: Cluster, proxy: Proxy, happens: Callable[[Running], None]) -> None:
        super().__init__()
        self.cluster, self.proxy, self.happens, self.happened = cluster, proxy, happens, False
        proxy.delay(0.5, "GetObject", under="logs/small", times=SMALL_FILES)
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not self.happened:
            if SMALL_FILES // 4 <= self.proxy.count("GetObject", under="logs/small") < SMALL_FILES:
                for running in self.cluster.running()[:1]:
                    self.happens(running)
                    self.happened = True
            time.sleep(0.05)


@pytest.fixture
def run(cluster, proxy, logs, package, job):
    """Runs the job on the cluster, with settings for spark-submit, and has an accident happen in the middle of its scan."""

    def start(
        output: str, reader: str, happens: Callable[[Running], None], **settings: str
    ) -> subprocess.CompletedProcess[str]:
        accident = Accident(cluster, proxy, happens)
        options = [f"--conf={name}={value}" for name, value in settings.items()]
        found = submit([*job_command(cluster.master, logs, output, package, job, *options), "--reader", reader])
        accident.join()
        assert found.returncode == 0, found.stdout + found.stderr
        assert accident.happened, "all logs were read before it could"
        return found

    return start


def test_with_speculation_a_python_worker_that_is_stopped_does_not_hold_up_a_run(run, logs, reference):
    found = run("stopped", "direct", lambda running: os.kill(running.python, signal.SIGSTOP), **SPECULATION)
    assert "WARNING scan" not in found.stdout, "a copy of a task is no failure"
    assert tables(logs, "stopped") == reference


def test_with_an_idle_timeout_a_python_worker_that_waits_for_ever_is_killed_and_reported(
    run, cluster, logs, reference, proxy
):
    last = f"logs/small/{SMALL_FILES - 1:02}.log"
    proxy.delay(300, "GetObject", under=last)

    def until_it_is_killed(running: Running) -> None:
        while running in cluster.running():
            time.sleep(0.1)
        proxy.clear()

    found = run("idle", "direct", until_it_is_killed, **IDLE_TIMEOUT)
    assert RETRIED in found.stdout
    assert tables(logs, "idle") == reference


def test_an_executor_that_is_killed_in_the_scan_changes_nothing_and_is_reported(run, logs, reference):
    found = run("executor", "direct", lambda running: os.kill(running.executor, signal.SIGKILL))
    assert RETRIED in found.stdout
    assert "Lost executor" in found.stderr, "on a cluster Spark's own log is left as it is"
    assert tables(logs, "executor") == reference


def test_a_worker_that_is_killed_in_the_scan_changes_nothing(run, logs, reference):
    """This is the last test: the cluster has one worker less from here on."""
    found = run("worker", "spark", lambda running: os.kill(running.worker, signal.SIGKILL))
    assert "Lost executor" in found.stderr, "an operator sees it in Spark's own log"
    assert tables(logs, "worker") == reference

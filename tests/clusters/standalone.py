"""A Spark standalone cluster on this machine: a master and workers, each a process of its own on the loopback interface."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

_SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
_PATIENCE = 60.0  # seconds for a process to say that it is up


@dataclass
class Cluster:
    """A running cluster: its master's URL, and its processes' logs."""

    master: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def executors(self, worker: int | None = None) -> list[int]:
        """The process ids of the executors that live, of all workers or of one."""
        parents = {process.pid for n, process in enumerate(self.workers) if worker in (None, n)}
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                command, status = (place / "cmdline").read_bytes(), (place / "stat").read_text()
            except OSError:  # it has ended meanwhile
                continue
            if b"CoarseGrainedExecutorBackend" in command and int(status.rpartition(")")[2].split()[1]) in parents:
                found.append(int(place.name))
        return found

    def log(self, name: str) -> str:
        """What `master`, `worker-0`, … have said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")


@contextmanager
def standalone(folder: Path, workers: int = 2, memory: str = "1g", **environment: str) -> Iterator[Cluster]:
    """A master and workers of one core each, in processes that end with the block.

    Args:
        folder: where their logs and the executors' working folders go.
        workers: how many.
        memory: of each.
        environment: what the workers, and so the executors, find in their environment beside the caller's own.
    """
    with ExitStack() as stack:
        command = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        stack.enter_context(_process(folder / "master.log", command, {}))
        master = _said(folder / "master.log", r"Starting Spark master at (spark://\S+)")
        cluster = Cluster(master, folder)
        for n in range(workers):
            command = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1"]
            command += ["--memory", memory, "--work-dir", str(folder / f"work-{n}"), master]
            cluster.workers.append(stack.enter_context(_process(folder / f"worker-{n}.log", command, environment)))
        for n in range(workers):
            _said(folder / f"worker-{n}.log", "Successfully registered with master")
        yield cluster


@contextmanager
def _process(log: Path, command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    base = os.environ | {"SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": "127.0.0.1"}
    with log.open("wb") as sink:
        # spark-class becomes Java; a group of its own, so that the executors end with their worker
        process = subprocess.Popen(
            [_SPARK_CLASS, *command], stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, env=base | environment
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _said(log: Path, pattern: str) -> str:
    """The first group (or all) of what a process says when it is up."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[found.re.groups and 1]
        time.sleep(0.1)
    raise TimeoutError(f"{log.name} does not say '{pattern}' within {_PATIENCE:.0f} s:\n{log.read_text(errors='replace')}")

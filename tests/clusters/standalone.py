"""A Spark standalone cluster on this machine: a master and workers, each a process of its own on the loopback interface."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyspark

from tests.clusters.processes import PATIENCE, process

_SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"


class Running(NamedTuple):
    """The process ids of a Python worker that runs tasks, of its executor, and of the cluster's worker above that."""

    python: int
    executor: int
    worker: int


@dataclass
class Cluster:
    """A running cluster: its master's URL, and its workers, each with a core and one executor at a time."""

    master: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def running(self) -> list[Running]:
        """The Python workers that live. A worker starts executors, an executor starts a daemon, and the daemon forks."""
        workers = {worker.pid for worker in self.workers}
        processes = _processes()
        executors, daemons = (
            {pid: parent for pid, (parent, command) in processes.items() if name in command}
            for name in (b"CoarseGrainedExecutorBackend", b"pyspark.daemon")
        )
        chains = [(pid, daemons[daemon]) for pid, daemon in daemons.items() if daemon in daemons]
        return [
            Running(pid, executor, executors[executor]) for pid, executor in chains if executors.get(executor) in workers
        ]


@contextmanager
def standalone(folder: Path, workers: int, memory: str, **environment: str) -> Iterator[Cluster]:
    """A master and workers of one core each, in processes that end with the block.

    Each worker has an address of its own, because Spark starts no copy of a slow task on the host that has it already.

    Args:
        folder: where their logs and the executors' working folders go.
        workers: how many.
        memory: of each.
        environment: what all of them find in their environment, and so the executors, beside the caller's own.
    """
    with ExitStack() as stack:

        def start(kind: str, host: str, log: Path, ready: str, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
            command = [_SPARK_CLASS, f"org.apache.spark.deploy.{kind}", "--host", host, "--webui-port", "0", *arguments]
            # no PYTHONPATH: executors must not find flowspark in the checkout
            settings = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": host, "PYTHONPATH": ""} | environment
            return stack.enter_context(process(log, command, settings)), _said(log, ready)

        ready = r"Starting Spark master at (spark://\S+)"
        _, master = start("master.Master", "127.0.0.1", folder / "master.log", ready, "--port", "0")
        cluster = Cluster(master)
        for n in range(workers):
            arguments = "--cores", "1", "--memory", memory, "--work-dir", str(folder / f"work-{n}"), master
            log = folder / f"worker-{n}.log"
            worker, _ = start("worker.Worker", f"127.0.0.{n + 2}", log, "Successfully registered", *arguments)
            cluster.workers.append(worker)
        yield cluster


def _processes() -> dict[int, tuple[int, bytes]]:
    """Of each process of this machine, by its id: its parent's id, and its command line."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            found[int(place.name)] = parent, (place / "cmdline").read_bytes()
    return found


def _said(log: Path, pattern: str) -> str:
    """The first group (or all) of what a process says when it is up."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[found.re.groups and 1]
        time.sleep(0.1)
    raise TimeoutError(f"{log.name} does not say '{pattern}' within {PATIENCE:.0f} s:\n{log.read_text(errors='replace')}")

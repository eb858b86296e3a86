"""What a command costs: wall time, CPU seconds and memory of all its processes.

CPU is the task clock that `perf` counts for the command and all that it starts: PySpark's daemon ignores SIGCHLD, so that
`time` and rusage never hear of the seconds of its Python workers.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL = 0.05  # seconds between two looks at the memory


ROLES = ("driver's Python", "driver's Java", "executor's Java")
"""The processes of a Spark application whose memory `memory_by_role` tells."""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and CPU; peak memory in MB, of all processes and of the largest Python worker; the output."""

    wall: float
    cpu: float
    peak: float
    worker: float
    said: str = field(repr=False)


def run(command: Sequence[str], *, cores: int, text: str, env: dict[str, str]) -> Cost:
    """Runs a command on the first `cores` cores, with a text as its input.

    Raises:
        RuntimeError: it fails; the message is what it has said last.
    """
    with tempfile.TemporaryDirectory() as folder:
        clock, said, fed = (Path(folder) / name for name in ("clock", "said", "fed"))
        fed.write_text(text)
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
        perf = ["perf", "stat", "-x", ",", "-e", "task-clock", "-o", str(clock), "--", "taskset", "-c", cpus]
        peak = worker = 0.0
        with said.open("wb") as out, fed.open("rb") as standard_input:
            begun = time.perf_counter()
            process = subprocess.Popen(
                [*perf, *command], stdin=standard_input, stdout=out, stderr=out, env=os.environ | env
            )
            while process.poll() is None:
                sizes, workers = _memory(process.pid)
                peak, worker = max(peak, sizes), max(worker, workers)
                time.sleep(_INTERVAL)
            wall = time.perf_counter() - begun
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)[:300]} failed:\n{said.read_text()[-2000:]}")
        return Cost(wall, _task_clock(clock.read_text()), peak, worker, said.read_text())


def memory_by_role(driver: int) -> dict[str, float]:
    """The most resident memory, in MB, that each kind of process (`ROLES`) of a Spark application has had so far.

    Args:
        driver: the process id of the driver's Python, which has started all others.
    """
    peaks: dict[str, float] = {}
    for pid in _tree(driver):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"java" in command.split(b"\0")[0]:
            role = ROLES[2 if b"CoarseGrainedExecutorBackend" in command else 1]
        elif pid == driver:
            role = ROLES[0]
        else:
            continue
        peaks[role] = max(peaks.get(role, 0), _resident(pid)["VmHWM"])
    return peaks


def _task_clock(report: str) -> float:
    line = next(line for line in report.splitlines() if ",task-clock" in line)
    return float(line.split(",")[0]) / 1000


def _memory(root: int) -> tuple[float, float]:
    """The resident memory, in MB, of a process and all below it, and the most that one PySpark worker has had so far."""
    resident = worker = 0.0
    for pid in _tree(root):
        try:
            memory = _resident(pid)
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        resident += memory.get("VmRSS", 0)
        if b"pyspark.daemon" in command:
            worker = max(worker, memory.get("VmHWM", 0))
    return resident, worker


def _resident(pid: int) -> dict[str, float]:
    """The resident memory of a process, in MB: now (VmRSS), and the most so far (VmHWM). Empty for one that has ended."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name.rstrip(":"): int(rest[0]) / 1024 for name, *rest in lines if name in ("VmRSS:", "VmHWM:")}


def _tree(root: int) -> Iterator[int]:
    yield root
    try:
        tasks = list(Path(f"/proc/{root}/task").iterdir())
        children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))

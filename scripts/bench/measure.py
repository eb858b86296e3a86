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
from dataclasses import dataclass
from pathlib import Path

_INTERVAL = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and CPU; peak memory in MB: of all processes together, and of the largest Python worker."""

    wall: float
    cpu: float
    peak: float
    worker: float


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
        return Cost(wall, _task_clock(clock.read_text()), peak, worker)


def _task_clock(report: str) -> float:
    line = next(line for line in report.splitlines() if ",task-clock" in line)
    return float(line.split(",")[0]) / 1000


def _memory(root: int) -> tuple[float, float]:
    """The resident memory, in MB, of a process and all below it, and the most that one PySpark worker has had so far."""
    resident = worker = 0.0
    for pid in _tree(root):
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if "VmRSS" in status:
            resident += int(status["VmRSS"].split()[0]) / 1024
            if b"pyspark.daemon" in command:
                worker = max(worker, int(status["VmHWM"].split()[0]) / 1024)
    return resident, worker


def _tree(root: int) -> Iterator[int]:
    yield root
    try:
        tasks = list(Path(f"/proc/{root}/task").iterdir())
        children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))

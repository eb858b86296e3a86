"""The progress of a long phase, on one line of a terminal: tasks done, and about how long the others will take."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkStageInfo
    from pyspark.sql import SparkSession

CLEAR = "\r\x1b[K"
"""Goes to the start of a terminal's line and empties it. A log line on a terminal begins with this."""

_LONG = 3.0  # seconds after which a phase is long
_INTERVAL = 0.5  # seconds between two looks

Tasks = tuple[int, int]
"""How many tasks are done, and how many there are."""


@contextmanager
def shown_progress(spark: SparkSession, name: str, group: str, *, enabled: bool) -> Iterator[None]:
    """Shows how far the Spark jobs of a job group are, while a block runs. A block that is not long shows nothing.

    Args:
        spark: the session.
        name: what the line begins with.
        group: the job group.
        enabled: whether to show anything: stderr is a terminal.
    """
    if not enabled:
        yield
        return
    with _task_counter(spark, group) as tasks:
        ended = threading.Event()
        thread = threading.Thread(target=_show, args=(name, tasks, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def progress_line(name: str, tasks: Tasks, seconds: float) -> str:
    """Returns the line that is shown after some seconds. The estimate appears once a task has finished.

    >>> progress_line("scan", (0, 8), 5)
    'scan: 0 of 8 tasks, 5 s'
    >>> progress_line("scan", (16, 64), 60)
    'scan: 16 of 64 tasks, 60 s, about 3 min left'
    """
    done, total = tasks
    text = f"{name}: {done:,} of {total:,} tasks, {seconds:.0f} s"
    if not 0 < done < total:
        return text
    left = seconds / done * (total - done)
    return f"{text}, about {f'{left / 60:.0f} min' if left >= 90 else f'{left:.0f} s'} left"


def _show(name: str, tasks: Callable[[], Tasks], ended: threading.Event) -> None:
    start = time.monotonic()
    shown = False
    while not ended.wait(_INTERVAL if shown else _LONG):
        with suppress(Exception):  # Spark may be stopping; a line of progress is never worth a failed run
            counted = tasks()
            if counted[1]:
                _print(progress_line(name, counted, time.monotonic() - start))
                shown = True
    if shown:
        _print("")


def _print(text: str) -> None:
    print(f"{CLEAR}{text}", end="", file=sys.stderr, flush=True)


@contextmanager
def _task_counter(spark: SparkSession, group: str) -> Iterator[Callable[[], Tasks]]:
    """Yields a function that counts the tasks of a job group.

    Spark Connect has no job groups: the function counts the tasks of everything that the session runs during the block.
    On pyspark 3.5, Spark Connect tells of no tasks at all, and the counts stay zero.
    """
    from flowspark.connect import is_connect  # not at the top: the command's --version needs no pyspark

    if not is_connect(spark):

        def count() -> Tasks:
            known = _stages(spark, group)
            return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)

        yield count
    elif hasattr(spark, "registerProgressHandler"):
        found: dict[tuple[str, int], Tasks] = {}

        def keep(*, stages: Iterable[Any] | None, operation_id: str, **_: Any) -> None:
            found.update({(operation_id, s.stage_id): (s.num_completed_tasks, s.num_tasks) for s in stages or ()})

        session: Any = spark
        session.registerProgressHandler(keep)  # pyspark calls it while this process waits for an answer
        try:
            yield lambda: (sum(done for done, _ in [*found.values()]), sum(total for _, total in [*found.values()]))
        finally:
            session.removeProgressHandler(keep)
    else:
        yield lambda: (0, 0)


def failed_tasks(spark: SparkSession, group: str) -> int:
    """How many tasks have failed in the jobs of a job group that did not fail; 0 on Spark Connect, which does not tell."""
    from flowspark.connect import is_connect

    return 0 if is_connect(spark) else sum(stage.numFailedTasks for stage in _stages(spark, group))


def _stages(spark: SparkSession, group: str) -> list[SparkStageInfo]:
    """What Spark still knows of the stages of a job group's jobs. A job that has failed, as some may, is left out."""
    tracker = spark.sparkContext.statusTracker()
    jobs = (tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group))
    stages = (tracker.getStageInfo(stage) for job in jobs if job and job.status != "FAILED" for stage in job.stageIds)
    return [stage for stage in stages if stage]

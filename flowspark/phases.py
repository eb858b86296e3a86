"""The phases of a run: what each one did, how long it took, and how Spark's UI and a terminal show it meanwhile.

    lookup ─> list ─> scan ─> check ─> publish

Each phase leaves one log line and one entry in the summary. Its Spark jobs form a job group of its name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowspark.connect import is_connect
from flowspark.progress import failed_tasks, shown_progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

COUNTS = ("files", "bytes", "lines", "rows")
PHASE_TYPE = "struct<phase: string, seconds: double, {}>".format(", ".join(f"{name}: bigint" for name in COUNTS))
"""An entry of the summary's `phases`, as a Spark type. A count that a phase does not have is null."""

_RETRIED = (
    "%s: %s task(s) failed, for example because an executor was lost, and Spark has run them again with success. The "
    "results are not affected; Spark's own log has the reasons"
)
_GROUP, _DESCRIPTION = "spark.jobGroup.id", "spark.job.description"  # what Spark's UI shows of a job


@dataclass
class Phases:
    """The phases of one run, in order.

    Attributes:
        spark: the session of the run.
        run_id: the run's name, which its job groups begin with.
        progress: whether a phase that takes long shows its progress on stderr, which then is a terminal.
        done: an entry for each phase that has ended: its name, its seconds, and its counts (None where it has none).
    """

    spark: SparkSession
    run_id: str
    progress: bool = False
    done: list[dict[str, Any]] = field(default_factory=list)
    _name: str = ""

    @contextmanager
    def phase(self, name: str) -> Iterator[dict[str, int]]:
        """Runs a block as a phase. The block fills in the counts (`COUNTS`) of the dictionary that it gets.

        A phase that fails leaves no line and no entry: the error tells what happened.
        """
        counts: dict[str, int] = {}
        self._name = name
        start = time.monotonic()
        with self.jobs(name), shown_progress(self.spark, name, self._group, enabled=self.progress):
            yield counts
        entry = {"phase": name, "seconds": round(time.monotonic() - start, 3)}
        self.done.append(entry | {count: counts.get(count) for count in COUNTS})
        texts = [f"{counts[count]:,} {count}" for count in COUNTS if count in counts]
        if failed := failed_tasks(self.spark, self._group):
            log.warning(_RETRIED, name, failed)
        log.info("%s: %s", name, ", ".join([*texts, f"{entry['seconds']:.1f} s"]), extra={"fields": entry | counts})

    @contextmanager
    def jobs(self, description: str) -> Iterator[None]:
        """Names the Spark jobs that this thread starts in a block: the group is the phase, the description is given.

        Afterwards the thread's earlier group and description are restored. On Spark Connect it does nothing: the server
        names the jobs there.
        """
        if is_connect(self.spark):
            yield
            return
        context = self.spark.sparkContext
        before = {name: context.getLocalProperty(name) for name in (_GROUP, _DESCRIPTION)}
        context.setLocalProperty(_GROUP, self._group)
        context.setLocalProperty(_DESCRIPTION, description)
        try:
            yield
        finally:
            for name, value in before.items():
                context.setLocalProperty(name, value)  # type: ignore[arg-type]  # None takes it away

    @property
    def _group(self) -> str:
        return f"flowspark {self.run_id} {self._name}"

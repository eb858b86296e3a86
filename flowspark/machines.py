"""Whether the driver and the executors see the same files at a path, on one machine or on several.

A plain path or a `file:` URI is a place on the disk of whoever opens it. flowspark lists it on the driver, and executors
read and write it. So on a cluster such a path is refused, unless the person says that all machines share the file system
there. What a person says is checked: executors look for files that the driver sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowspark.connect import is_connect
from flowspark.errors import UsageError
from flowspark.files import hidden, is_local, is_workspace, local_path, on_databricks
from flowspark.java import is_local as is_local_master

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

Sizes = list[tuple[str, int]]
"""Paths, and the size of the file that the driver sees at each."""

_SHOWN = 5
_MARKER = "disk="


def cores(spark: SparkSession) -> int:
    """How many tasks run at a time. A Connect session does not tell it; 32 is a guess for a cluster of some size."""
    return 32 if is_connect(spark) else spark.sparkContext.defaultParallelism


def on_one_machine(spark: SparkSession) -> bool:
    """Whether the driver and all executors run on this machine, so that a path means the same file to all of them."""
    if is_connect(spark):
        return "SPARK_LOCAL_REMOTE" in os.environ  # pyspark sets it when it has started the server itself
    master = spark.sparkContext.master or ""
    return is_local_master(master) or master.startswith("local-cluster[")


def check_paths(spark: SparkSession, inputs: Iterable[str], output: str | None = None, *, shared: bool) -> None:
    """Checks that the inputs and the output are places that all machines of a run reach.

    Args:
        spark: the session, which tells whether the run is on one machine.
        inputs: files and folders, as paths or URIs.
        output: the folder for the results, if there is one.
        shared: whether the person says that all machines have the same files at local paths.

    Raises:
        UsageError: a path is on each machine's own disk, or executors cannot write the output.
    """
    if output is not None and is_workspace(output):
        raise UsageError(
            f"output {output} is a workspace folder, which executors cannot write; write to a volume (/Volumes/…) or to "
            "cloud storage (s3://…)"
        )
    named = [*(("input", uri) for uri in inputs if not is_workspace(uri)), *([("output", output)] if output else [])]
    found = next(((name, uri) for name, uri in named if is_local(uri)), None)
    if found is None or shared or on_one_machine(spark):
        return
    name, uri = found
    elsewhere = "/Volumes/…, s3://…" if on_databricks() else "s3://…, hdfs://…"
    raise UsageError(
        f"{name} {uri} is a path on a machine's own disk, and Spark runs on other machines too ({_where(spark)}), which do "
        f"not see the files of this one; use storage that all of them reach ({elsewhere}), or give --shared-filesystem "
        "(shared_filesystem=True in Python) if all machines have the same files at this path"
    )


def _where(spark: SparkSession) -> str:
    return "Spark Connect" if is_connect(spark) else f"master {spark.sparkContext.master}"


def check_same_files(spark: SparkSession, inputs: Iterable[str], folder: str | None, run_id: str) -> None:
    """Checks that executors see the files that the driver sees at local paths. On one machine it does nothing.

    The driver writes a small marker, and a Spark job looks for it and for a file of each input. Executors that start later
    are not asked.

    Args:
        spark: the session.
        inputs: files and folders, as paths or URIs.
        folder: a folder below the output, for the marker; None if the run has no output.
        run_id: gives the marker its name.

    Raises:
        UsageError: an executor lacks a file, or sees another one at its path.
    """
    paths = [local_path(uri) for uri in inputs if is_local(uri)]
    marker = Path(folder, f"{_MARKER}{run_id}") if folder and is_local(folder) else None
    if not (paths or marker) or on_one_machine(spark):
        return
    try:
        if marker:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text(run_id)
        there = [path for path in (*map(_first_file, paths), marker and str(marker)) if path]
        _compare(spark, [(path, size) for path in there if (size := _size(path)) >= 0])
    finally:
        if marker:
            marker.unlink(missing_ok=True)


def _compare(spark: SparkSession, expected: Sizes) -> None:
    tasks = cores(spark)  # as many as run at a time: the scheduler deals the first ones out to all executors
    rows = spark.range(0, tasks, 1, tasks).mapInArrow(_look(expected), "host string, path string").collect()
    sizes = dict(expected)
    # files that changed or went meanwhile are left to the scan to report
    differing = sorted({(row["host"], row["path"]) for row in rows if _size(row["path"]) == sizes[row["path"]]})
    if differing:
        shown = "".join(f"\n  {host}: {path}" for host, path in differing[:_SHOWN])
        raise UsageError(
            "executors do not see the files that the driver sees, so these paths are not shared, and nothing is published. "
            "Mount the file system at the same path on each machine, let Spark's user read it there, or use storage that "
            f"all machines reach (s3://…, hdfs://…). The executors, and what they lack:{shown}"
        )


def _look(expected: Sizes) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A task that gives a row for each file that the executor lacks or sees with another size.

    It is pickled whole, and refers to nothing of flowspark's.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import os
        import socket

        import pyarrow as pa

        for _ in batches:
            pass
        lacking = []
        for path, size in expected:
            try:
                with open(path, "rb") as file:  # noqa: PTH123  # it must be allowed to read it, too
                    found = os.fstat(file.fileno()).st_size
            except OSError:
                found = -1
            if found != size:
                lacking.append(path)
        hosts = [socket.gethostname()] * len(lacking)
        yield pa.RecordBatch.from_arrays([pa.array(hosts, pa.string()), pa.array(lacking, pa.string())], ["host", "path"])

    return run


def _first_file(path: str) -> str | None:
    """Returns a path if it is a file, else a file below it whose name is not hidden, else None."""
    if not Path(path).is_dir():
        return path
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not hidden(name)]
        seen = next((name for name in names if not hidden(name)), None)
        if seen:
            return f"{folder}/{seen}"
    return None


def _size(path: str) -> int:
    """The size of a file, as the driver sees it; -1 if it cannot be opened."""
    with suppress(OSError), Path(path).open("rb") as file:
        return os.fstat(file.fileno()).st_size
    return -1

"""What a Spark task runs: it turns its files, which are given as paths or as bytes, into record batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from flowspark.decode.sources import Source, binary_sources, listed_sources
from flowspark.decode.split import read_split, scan_split
from flowspark.layouts import Layout


def scan_task(batches: Iterable[pa.RecordBatch], direct: bool, given: Layout | None) -> Iterator[pa.RecordBatch]:
    """`scan_split` for the files that a task is given, by their paths (direct) or as bytes that Spark has read."""
    return scan_split(_sources(batches, direct=direct), given)


def read_task(  # those of read_split, and how the files come
    batches: Iterable[pa.RecordBatch],
    direct: bool,
    given: Layout | None,
    columns: Sequence[str],
    skip_bad_files: bool,
    one_machine: bool,
) -> Iterator[pa.RecordBatch]:
    """`read_split` for the files that a task is given, by their paths (direct) or as bytes that Spark has read."""
    sources = _sources(batches, direct=direct)
    return read_split(sources, given, columns, skip_bad_files=skip_bad_files, one_machine=one_machine)


def _sources(batches: Iterable[pa.RecordBatch], *, direct: bool) -> Iterator[Source]:
    return listed_sources(batches) if direct else binary_sources(batches)

"""Turns log files into DataFrames with Spark's `mapInArrow`. The files reach the tasks as rows, never in a closure."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql import types as T  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from flowspark import __version__
from flowspark.binary import MISSING
from flowspark.connect import ship_package
from flowspark.decode.batches import METADATA, UNKNOWN_FIELDS, arrow_schema
from flowspark.decode.sources import SPLIT_SCHEMA, split_bytes
from flowspark.decode.split import SCAN_SCHEMA
from flowspark.decode.survey import RANGE_SCHEMA, SURVEY_SCHEMA, Span, opening_layout, survey
from flowspark.decode.tasks import read_task, scan_task
from flowspark.errors import UsageError, did_you_mean
from flowspark.fields import FIELDS, column_name, field_name, fields_of_version
from flowspark.files import LogFile, platform_uri
from flowspark.find import LogFiles, find_files
from flowspark.keys import select
from flowspark.layouts import Layout, parse_layout
from flowspark.machines import check_paths, check_same_files, cores, on_one_machine
from flowspark.missing import not_searched_warning
from flowspark.requirements import missing_on_worker, worker_remedy
from flowspark.session import local_frame
from flowspark.splits import pack, pieces, ranges, too_large

if TYPE_CHECKING:
    Batches = Iterator[pa.RecordBatch]

log = logging.getLogger(__name__)

_ROUNDS = 4  # tasks for each core in a survey: none outlives the others by much


def scan_files(spark: SparkSession, found: LogFiles, given: Layout | None) -> DataFrame:
    """The scan: one pass over all files. In each row, one of `tally`, `file` and `rejects` is set (decode/split.py)."""
    frame = _files_frame(spark, found, given)
    return frame.mapInArrow(_on_workers(scan_task, found.binary is None, given), from_arrow_schema(SCAN_SCHEMA))


def _files_frame(spark: SparkSession, found: LogFiles, given: Layout | None) -> DataFrame:
    """The files as rows for the tasks: splits for the direct reader, else a row for each file, with its bytes."""
    ship_package(spark)
    if found.binary is None:
        return splits_frame(spark, cut_files(spark, found.files, given))
    return reduce(DataFrame.unionByName, found.binary)


def _on_workers(task: Callable[..., Batches], *arguments: Any) -> Callable[[Batches], Batches]:
    """A function for `mapInArrow` that calls one of flowspark's functions with a task's batches and some arguments.

    A nested function is pickled whole, and this one refers to nothing of flowspark's. So it also runs on a worker without
    the package, and says what is missing. A function of flowspark's modules would be pickled as its name, and such a worker
    would fail deep inside pyspark.
    """
    home, name = task.__module__, task.__name__
    missing, version, advice = missing_on_worker("flowspark"), __version__, worker_remedy()

    def run(batches: Batches) -> Batches:
        from importlib import import_module

        try:
            import_module("flowspark.requirements").check_worker(version, advice)
            found = getattr(import_module(home), name)
        except ModuleNotFoundError as error:
            if str(error.name).split(".")[0] != "flowspark":
                raise
            raise RuntimeError(missing) from error
        result: Batches = found(batches, *arguments)
        return result

    return run


def cut_files(spark: SparkSession, files: Sequence[LogFile], given: Layout | None) -> list[LogFile]:
    """The files, with pieces in place of those that are too large for one task. A Spark job of its own surveys these first.

    A file that is gzip, or suspicious in any way, stays whole.
    """
    at_once = cores(spark)
    layouts = {file: layout for file in too_large(files, at_once) if (layout := opening_layout(file, given))}
    rows = [(file.path, file.size, *span) for file in layouts for span in ranges(file)]
    if not rows:
        return list(files)
    frame = _dealt(spark, rows, RANGE_SCHEMA, min(len(rows), _ROUNDS * at_once))
    spans: dict[str, list[Span]] = defaultdict(list)
    surveyed = frame.mapInArrow(_on_workers(survey), from_arrow_schema(SURVEY_SCHEMA))
    for path, start, stop, lines, layout, headers in sorted(surveyed.collect()):
        spans[path].append(Span(start, stop, lines, tuple(layout) if layout else None, headers))
    cut = {file: pieces(file, layout, spans[file.path]) for file, layout in layouts.items()}
    log.info("%s large file(s) are read in %s piece(s)", len(cut), f"{sum(map(len, cut.values())):,}")
    return [part for file in files for part in cut.get(file, [file])]


def splits_frame(spark: SparkSession, files: Sequence[LogFile]) -> DataFrame:
    """One row for each split, each in a task of its own."""
    rows = [(split_bytes(split),) for split in pack(files, cores(spark))]
    return _dealt(spark, rows, SPLIT_SCHEMA, len(rows))


def _dealt(spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: pa.Schema, tasks: int) -> DataFrame:
    """A frame of the driver's rows, dealt out evenly to the tasks. The first rows go to the tasks that start first.

    If there are no more rows than cores, Spark itself gives each core one row. If there are more, `repartition` would by
    chance give two rows to one task and none to another. Spark deals out the numbers of a range evenly, so the rows are
    joined to such numbers.
    """
    if len(rows) <= cores(spark):
        return local_frame(spark, rows, schema)
    numbered = local_frame(spark, [(n, *row) for n, row in enumerate(rows)], schema.insert(0, pa.field("id", pa.int64())))
    return spark.range(0, len(rows), 1, tasks).join(F.broadcast(numbered), "id").drop("id")


def flow_log_schema(version: int | None = None) -> T.StructType:
    """The versioned schema: the columns of all fields, or of those up to a version (6 is Transit Gateway's format).

    Raises:
        UsageError: there is no such version.

    >>> flow_log_schema(2).names[5:8]
    ['srcport', 'dstport', 'protocol']
    """
    try:
        names = fields_of_version(version) if version is not None else tuple(FIELDS)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return from_arrow_schema(arrow_schema([column_name(name) for name in names]))


def read_flow_logs(  # noqa: PLR0913  # each is a flag of the job
    spark: SparkSession,
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: str | Sequence[str] | None = None,
    layout: str | None = None,
    reader: str = "auto",
    on_bad_file: str = "fail",
    interval: str | None = None,
    accounts: Sequence[str] = (),
    regions: Sequence[str] = (),
    flow_log_ids: Sequence[str] = (),
    shared_filesystem: bool = False,
) -> DataFrame:
    """The records of flow logs, one row each, in the versioned schema.

    Args:
        spark: the session, classic or Connect.
        inputs: a file or a folder, which is searched to the bottom, or several; as paths or URIs.
        columns: the column to read, or several; only these are decoded. Names of the schema (`dstport`), of new fields
            that the registry does not know yet (read as strings), or `file` and `line` (where a record stands),
            `file_account`, `file_region`, `file_flow_log_id` and `file_time` (what AWS's key tells of the file, as
            strings), `unknown_fields` (a map of all fields that the registry does not know), and `rejected` (reason and
            text: with it, rejected lines are rows too). Default: the whole schema and `unknown_fields`.
        layout: the layout of files without a header, as for `--layout`.
        reader: `auto`, `direct` or `spark`.
        on_bad_file: `fail`, or `skip` to leave out whole files that are bad in themselves, or gone since they were
            listed (rule 10). Each query reads the files anew, and a DataFrame has no place to list the files that it
            lacks. So `skip` leaves out only files that are bad each time they are read. The query still fails, after
            another try, for a file that the storage refuses or fails to hand over (no permission, archived, a server
            that is down), and on a cluster for a local file that is gone. It also fails for a large file that is read in
            pieces and changes meanwhile. If you have to know which files were left out, run the job: its files table
            lists them.
        interval: the UTC day or hour, by publish time, whose files are read; default all.
        accounts, regions, flow_log_ids: only files of these, as their keys tell; default all.
        shared_filesystem: whether all machines of a cluster have the same files at local paths. Without it, local inputs
            are refused on a cluster.

    Raises:
        InputError: an input does not exist or has no log file. A bad file fails later, in the query that reads it; the
            error of the query names the file.
        UsageError: an unknown option or layout, a repeated column, an interval or filter that cannot be, or a value
            of the wrong type; or a local input that the executors do not see.
    """
    if on_bad_file not in ("fail", "skip"):
        raise UsageError(f"on_bad_file is 'fail' or 'skip', not '{on_bad_file}'")
    names = [*flow_log_schema().names, UNKNOWN_FIELDS] if columns is None else _texts("columns", columns, "a column name")
    _check_columns(names)
    _texts("reader", [reader], "a text")
    for name, value in (("layout", layout), ("interval", interval)):
        if value is not None:
            _texts(name, [value], "a text")
    given_filters = (("accounts", accounts), ("regions", regions), ("flow_log_ids", flow_log_ids))
    filters = [_filter(name, values) for name, values in given_filters]
    given = parse_layout(layout) if layout else None
    skip = on_bad_file == "skip"
    selection = select(interval, *filters)
    roots = list(map(platform_uri, _texts("inputs", inputs, "a path or URI")))
    check_paths(spark, roots, shared=shared_filesystem)
    check_same_files(spark, roots, None, "")
    found = find_files(spark, roots, reader, selection, ignored=(MISSING,) if skip else ())
    task = _on_workers(read_task, found.binary is None, given, names, skip, on_one_machine(spark))
    if found.not_searched:
        log.warning("%s", not_searched_warning(found.not_searched))
    return _files_frame(spark, found, given).mapInArrow(task, from_arrow_schema(arrow_schema(names)))


def _filter(name: str, values: Any) -> Sequence[str]:
    """The texts of a filter. An empty list takes all; `select` refuses a single text, and says how to write it."""
    if values in ((), []) or (isinstance(values, str) and values.strip()):
        chosen: Sequence[str] = values
        return chosen
    return _texts(name, values, "a text")


def _texts(name: str, values: Any, expected: str) -> list[str]:
    """One text or path, or several, as a list of texts.

    Raises:
        UsageError: there is no value, or a value is empty or of another type.
    """
    several = [values] if isinstance(values, str | os.PathLike) else values
    if not isinstance(several, Iterable) or isinstance(several, bytes | Mapping):
        raise UsageError(f"{name} is {values!r}; give {expected}, or a list of such")
    texts = []
    for value in several:
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"{name} has {value!r}, which is not {expected}")
        texts.append(text)
    if not texts:
        raise UsageError(f"{name} is empty; give {expected}, or several")
    return texts


def _check_columns(names: Sequence[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise UsageError(f"columns named twice: {', '.join(repeated)}")
    known = [*flow_log_schema().names, *METADATA]
    for name in names:
        hint = did_you_mean(name, known)
        if name not in known and hint:
            log.warning("%s is not a known field%s; it is read as a new one", field_name(name), hint)

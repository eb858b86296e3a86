"""The log files of a run: found under its inputs by flowspark itself (direct), or by Spark's own readers (spark)."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, reduce
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.binary import FAULTS, MISSING, empty_files, load, telling_listing, why_unread
from flowspark.connect import temporary_setting
from flowspark.copies import warn_of_copies
from flowspark.errors import VANISHED, InputError
from flowspark.files import (
    LogFile,
    file_identity,
    is_direct,
    is_local,
    normal,
    platform_uri,
    reported_path,
    resolve_reader,
    spark_path,
    unopenable,
    utc_text,
)
from flowspark.keys import Selection, some
from flowspark.listing import Found, NothingFound, list_input, own_listing
from flowspark.locations import check_location
from flowspark.missing import missing_input, nothing_found, shortened
from flowspark.spark_listing import list_with_spark, what_spark_sees
from flowspark.storage import storage_of

log = logging.getLogger(__name__)

EVERYTHING = Selection()
_NO_HOST = "^(file|dbfs):/+"
_LARGEST = (1 << 31) - 1  # bytes that a value in Spark can hold
_LISTING_TASKS = "64"  # to list local files by name: Spark takes up to 10,000 tasks, with which 5,000 files take a minute
_BINARY_SCHEMA = "path string, length bigint, modified bigint, content binary, uri string"


@dataclass(frozen=True)
class LogFiles:
    """The log files of a run, sorted by path.

    Attributes:
        files: the files.
        binary: the frame with their bytes if Spark's binaryFile source reads them, else None. Its columns are `path`,
            `length`, `modified` (in seconds), `content`, and `uri`. A filter on `uri` chooses files: Spark opens no others.
        not_searched: the folders that were not searched for a selection, and the files that could not be placed.
    """

    files: list[LogFile]
    binary: DataFrame | None = None
    not_searched: tuple[str, ...] = ()

    def only(self, paths: Iterable[str]) -> LogFiles:
        """The files with these paths, as they were listed."""
        chosen = {*paths}
        files = [file for file in self.files if file.path in chosen]
        if self.binary is None:
            return LogFiles(files)
        # Spark has two ways to write a URI without a host
        uris = [re.sub(_NO_HOST, r"\1:/", uri) for uri in self.binary.inputFiles() if reported_path(unquote(uri)) in chosen]
        return LogFiles(files, self.binary.where(F.regexp_replace("uri", _NO_HOST, "$1:/").isin(uris)))


def find_files(
    spark: SparkSession,
    inputs: Sequence[str],
    reader: str = "auto",
    selection: Selection = EVERYTHING,
    *,
    allow_empty: bool = False,
    ignored: Sequence[str] = FAULTS,
) -> LogFiles:
    """All log files under the inputs that a selection takes, each once.

    Args:
        spark: the session.
        inputs: files and folders.
        reader: `auto`, `direct` or `spark`.
        selection: which of the files to take.
        allow_empty: whether an input may be without a file.
        ignored: the faults of a file that do not fail the query: Spark's reader gives no row for such a file. A caller who
            ignores faults must compare what was read with what was listed.

    Raises:
        InputError: an input does not exist, cannot be listed, or has no log file for the run (unless `allow_empty`).
        UsageError: the reader is unknown or cannot open the inputs, or an input could mean another place.
    """
    inputs = list(map(platform_uri, inputs))
    for uri in inputs:
        check_location("input", uri)
    direct = resolve_reader(reader, inputs) == "direct"
    found: dict[str, LogFile] = {}
    frames: list[DataFrame] = []
    not_searched: set[str] = set()
    for root in dict.fromkeys(map(normal, inputs)):
        try:
            listed = list_input(root, selection) if direct else _find_binary(spark, root, selection, found, frames, ignored)
        except NothingFound as nothing:
            if not allow_empty:
                raise nothing.error from None
            log.warning("%s", nothing.error)
            not_searched.update(nothing.not_searched)
            continue
        not_searched.update(listed.not_searched)
        for file in listed.files:
            # Spark's readers do not tell the time of an empty file, so neither reader reports it
            found[file_identity(file.path)] = file if file.size else LogFile(file.path, 0)
    warn_of_copies(found)
    binary = reduce(DataFrame.unionByName, frames) if frames else None
    return LogFiles(sorted(found.values(), key=lambda file: file.path), binary, shortened(not_searched))


def _find_binary(
    spark: SparkSession,
    root: str,
    selection: Selection,
    known: Mapping[str, LogFile],
    frames: list[DataFrame],
    ignored: Sequence[str],
) -> Found:
    """The files under an input that are not known yet. Adds the frame that reads them with Spark's binaryFile source.

    Where flowspark itself can list the input, its own listing decides which files there are: Spark's listing follows links
    without end, and silently leaves out what it cannot open. Files that it leaves out are bad files.

    Raises:
        InputError: the input cannot be listed, or has files that Spark cannot hand over.
        NothingFound: no file.
    """
    own = own_listing(root, selection)
    if own is None:
        return _listed_by_spark(spark, root, selection, known, frames, ignored)
    files = [file for file in own.files if file_identity(file.path) not in known]
    _check_sizes(files)
    readable = {file.path for file in files if file.modified and not unopenable(file.path)}
    if len(readable) < len(files) and MISSING not in ignored:
        closed = next(file.path for file in files if file.path not in readable)
        raise InputError(f"{closed}: {why_unread(spark, closed)}")
    # for local paths Spark gets the files themselves, because folders may have links that it would follow
    places = own.places if len(readable) == len(own.files) and not is_local(root) else readable
    frame, listed = _load_all(spark, root, places, ignored)
    if not readable.issuperset(listed):  # other files have come meanwhile, or only flowspark skips them
        frame, listed = _load_all(spark, root, readable, ignored)
    others = {*listed} - readable
    if others:
        raise InputError(
            f"Spark reads other files under input {root} than it was asked for: {some(others)}; a folder and a file have "
            "the same name there; use --reader direct, or rename the file"
        )
    unseen = readable.difference(listed)
    if unseen and MISSING not in ignored:
        raise InputError(f"{min(unseen)}: {why_unread(spark, min(unseen))}")
    empty = {file.path for file in files if not file.size} & {*listed}
    frames.append(_with_empty(spark, frame, empty))
    return Found(files, [], own.not_searched)


def _listed_by_spark(
    spark: SparkSession,
    root: str,
    selection: Selection,
    known: Mapping[str, LogFile],
    frames: list[DataFrame],
    ignored: Sequence[str],
) -> Found:
    """The files under an input that are not known yet, as Spark lists them. Adds the frame that reads them.

    Raises:
        InputError: the input cannot be listed, or has files that Spark cannot hand over.
        NothingFound: no file.
    """
    spark_found = list_with_spark(partial(load, spark, ignored=ignored), root, selection)
    if spark_found is None:
        raise NothingFound(missing_input(root))
    if not spark_found.taken:
        there = what_spark_sees(root, spark_found.listed) if selection else None
        missed = spark_found.not_searched
        raise NothingFound(nothing_found(root, selection, there, missed), missed)
    names = [path for path in spark_found.taken if file_identity(path) not in known]
    if not names:
        return Found([], [], spark_found.not_searched)
    frame = spark_found.frame
    if len(names) < len(spark_found.listed):  # the pattern matches more than the selection: read only the chosen files
        frame, _ = _load_all(spark, root, names, ignored)
    with telling_listing(root):
        rows = frame.drop("content", "uri").collect()
    files = {path: LogFile(path, row["length"], utc_text(row["modified"])) for row in rows
             for path in [reported_path(row["path"])]}  # fmt: skip
    _check_sizes(files.values())
    empty = empty_files(spark, [path for path in names if path not in files])
    frames.append(_with_empty(spark, frame, empty))
    return Found([files.get(path) or LogFile(path, 0) for path in names], [], spark_found.not_searched)


def _check_sizes(files: Iterable[LogFile]) -> None:
    large = [file.path for file in files if file.size > _LARGEST]
    if large:
        raise InputError(f"Spark hands over files of up to 2 GB, and these are larger: {some(large)}; use --reader direct")


def _with_empty(spark: SparkSession, frame: DataFrame, empty: Iterable[str]) -> DataFrame:
    """Adds rows for empty files to a frame, because Spark makes none."""
    rows = [(path, 0, None, b"", "") for path in empty]
    return frame.unionByName(spark.createDataFrame(rows, _BINARY_SCHEMA)) if rows else frame


def _load_all(
    spark: SparkSession, root: str, places: Collection[str], ignored: Sequence[str]
) -> tuple[DataFrame, list[str]]:
    """The frame that reads some files and folders, without those that are gone; and the files that Spark lists there."""
    if not places:
        return spark.createDataFrame([], _BINARY_SCHEMA), []
    name = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
    with temporary_setting(spark, name, _LISTING_TASKS) if is_local(root) else nullcontext():
        loaded = load(spark, map(spark_path, places), ignored)
    if loaded is None and is_direct(root):
        there = [place for place in places if storage_of(root).exists(place)]
        if len(there) < len(places):
            return _load_all(spark, root, there, ignored)
    if loaded is None:
        raise InputError(f"a file under input {root} {VANISHED}")
    return loaded

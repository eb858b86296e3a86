"""The log files of a run: found under its inputs by flowspark itself (direct), or by Spark's own readers (spark)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.errors import VANISHED, BadFile, InputError, cause
from flowspark.files import (
    LogFile,
    check_location,
    hidden,
    identity,
    is_direct,
    is_local,
    normal,
    reported_path,
    resolve_reader,
    spark_path,
    utc_text,
)
from flowspark.keys import AWS_LOGS, Pattern, Selection, aws_patterns, describe_keys, some
from flowspark.listing import Listing, missing_input, nothing_found
from flowspark.session import SPARK_ERRORS
from flowspark.storage import storage_of

log = logging.getLogger(__name__)

EVERYTHING = Selection()
_LARGEST = (1 << 31) - 1  # bytes that a value in Spark can hold


@dataclass(frozen=True)
class LogFiles:
    """The log files of a run, sorted by path; `binary` is set when Spark's binaryFile source hands over their bytes."""

    files: list[LogFile]
    binary: DataFrame | None = None


def find_files(
    spark: SparkSession,
    inputs: Sequence[str],
    reader: str = "auto",
    selection: Selection = EVERYTHING,
    *,
    allow_empty: bool = False,
) -> LogFiles:
    """All log files under the inputs that a selection takes, each once.

    Raises:
        InputError: an input does not exist, cannot be listed, or has no log file for the run (but for `allow_empty`).
        UsageError: unknown reader, or one that cannot open the inputs, or an input that could mean another place.
    """
    for uri in inputs:
        check_location("input", uri)
    direct = resolve_reader(reader, inputs) == "direct"
    found: dict[str, LogFile] = {}
    frames: list[DataFrame] = []
    for root in dict.fromkeys(map(normal, inputs)):
        try:
            files = _find_direct(root, selection) if direct else _find_binary(spark, root, selection, found, frames)
        except _NothingFound as nothing:
            if not allow_empty:
                raise nothing.error from None
            log.warning("%s", nothing.error)
            continue
        found.update((identity(file.path), file) for file in files)
    binary = reduce(DataFrame.unionByName, frames) if frames else None
    return LogFiles(sorted(found.values(), key=lambda file: file.path), binary)


class _NothingFound(Exception):
    """An input without a file for the run, and the error that this is unless it may be so."""

    def __init__(self, error: InputError) -> None:
        self.error = error


def _find_direct(root: str, selection: Selection) -> list[LogFile]:
    listing = Listing(storage_of(root), root)
    files = listing.files(selection)
    if not files:
        if not listing.exists():
            raise _NothingFound(missing_input(root))
        raise _NothingFound(nothing_found(root, selection, listing.what_is_there() if selection else None))
    # Spark's readers tell no time of an empty file, and both readers tell the same
    return [file if file.size else LogFile(file.path, 0) for file in files]


def _find_binary(
    spark: SparkSession, root: str, selection: Selection, known: dict[str, LogFile], frames: list[DataFrame]
) -> list[LogFile]:
    """What Spark's own reader lists under an input, but for files that are known; adds the frame that reads it."""
    frame, listed = _listed(spark, root, selection)
    names = selection.choose(path for path in listed if not _hidden_below(path, root))
    if not names:
        raise _NothingFound(nothing_found(root, selection, _what_is_there(root, listed) if selection else None))
    names = [path for path in names if identity(path) not in known]
    if not names:
        return []
    if len(names) < len(listed):  # the pattern was wider than the selection: those files, and no others
        loaded = _load(spark, map(spark_path, names))
        if loaded is None:
            raise InputError(f"a file under input {root} {VANISHED}")
        frame, _ = loaded
    with _listing(root):
        rows = frame.drop("content").collect()
    files = {path: LogFile(path, row["length"], utc_text(row["modified"])) for row in rows
             for path in [reported_path(row["path"])]}  # fmt: skip
    large = [path for path, file in files.items() if file.size > _LARGEST]
    if large:
        raise InputError(f"Spark hands over files of up to 2 GB, and these are larger: {some(large)}; use --reader direct")
    empty = _empty(spark, [path for path in names if path not in files])
    if empty:
        frame = frame.unionByName(spark.createDataFrame([(path, 0, None, b"") for path in empty], frame.schema))
    frames.append(frame)
    return [files.get(path) or LogFile(path, 0) for path in [*names, *_dangling(root, selection, listed)]]


def _empty(spark: SparkSession, paths: list[str]) -> list[str]:
    """Those of some files without a row that have none because they are empty; the others cannot be read."""
    if not paths:
        return []
    try:
        rows = spark.read.format("binaryFile").load(list(map(spark_path, paths))).select("path").collect()
    except SPARK_ERRORS:
        half = len(paths) // 2
        return [*_empty(spark, paths[:half]), *_empty(spark, paths[half:])] if half else []
    return sorted({*paths} - {reported_path(row["path"]) for row in rows})


def _dangling(root: str, selection: Selection, listed: list[str]) -> list[str]:
    """Links that lead nowhere, which Spark's readers do not list; they leave no row, and are named for that."""
    if not is_local(root):
        return []
    seen = {*listed}
    return [file.path for file in Listing(storage_of(root), root).files(selection) if file.path not in seen]


def _listed(spark: SparkSession, root: str, selection: Selection) -> tuple[DataFrame, list[str]]:
    """The files under an input: with a selection those that AWS's keys lead to, or, where it has no such keys, all."""
    patterns = aws_patterns(root, selection) if selection else []
    loaded = [_load(spark, [spark_path(root) + _glob(pattern)]) for pattern in patterns]
    found = [frame_and_names for frame_and_names in loaded if frame_and_names]
    if found:
        return reduce(DataFrame.unionByName, (frame for frame, _ in found)), [path for _, names in found for path in names]
    everything = _load(spark, [spark_path(root)])
    if everything is None:
        raise _NothingFound(missing_input(root))
    aws_keys = f"{root}/{AWS_LOGS}/" if f"/{AWS_LOGS}/" not in f"{root}/" else f"{root}/"
    if selection and any(path.startswith(aws_keys) for path in everything[1]):
        raise _NothingFound(nothing_found(root, selection, describe_keys(everything[1])))
    return everything


def _glob(pattern: Pattern) -> str:
    """A pattern as Spark's readers take it; they list a folder after the other, and no name that is known."""
    return "".join(f"/{names[0]}" if len(names) == 1 else f"/{{{','.join(names)}}}" for names in pattern)


def _load(spark: SparkSession, paths: Iterable[str]) -> tuple[DataFrame, list[str]] | None:
    """The frame that reads some paths, and the files that it found; None when one of them leads nowhere.

    A classic session lists once, for both uses. What cannot be read leaves no row, and is named when the scan is compared
    with the listing: a row is a whole file, so that nothing is ever half read.
    """
    reader = spark.read.format("binaryFile").options(
        recursiveFileLookup=True, ignoreMissingFiles=True, ignoreCorruptFiles=True
    )
    paths = list(paths)
    with _listing(paths[0]):
        try:
            frame = reader.load(paths).select(
                "path", "length", F.unix_timestamp("modificationTime").alias("modified"), "content"
            )
            return frame, [reported_path(unquote(uri)) for uri in frame.inputFiles()]
        except AnalysisException:
            return None


@contextmanager
def _listing(path: str) -> Iterator[None]:
    try:
        yield
    except SPARK_ERRORS as error:
        raise InputError(
            f"{path} cannot be listed: {cause(error)}; check the path, and what Spark's credentials may do"
            + (", or give --reader direct" if is_direct(path) else "")
        ) from error


def why_unread(spark: SparkSession, path: str) -> str:
    """Why Spark's reader has left no row of a file that was listed: it is asked once more, for this file alone."""
    try:
        if is_local(path):
            storage_of(path).open(path).close()
        spark.read.format("binaryFile").load(spark_path(path)).select(F.length("content")).collect()
    except BadFile as error:
        return str(error)
    except AnalysisException:
        return VANISHED
    except SPARK_ERRORS as error:
        return f"cannot be read: {cause(error)}"
    return "could not be read the first time; run again"


def _hidden_below(path: str, root: str) -> bool:
    """Whether a name below the input, or that of the input itself when it is a file, is one that is left out."""
    parts = path.removeprefix(root).strip("/").split("/") if path != root else [root.rsplit("/", 1)[-1]]
    return any(hidden(part) for part in parts if part)


def _what_is_there(root: str, names: list[str]) -> str:
    return f"{some(path.removeprefix(root).strip('/') for path in names)}, and no folder {AWS_LOGS}"

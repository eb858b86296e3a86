"""The log files of a run: found under its inputs by flowspark itself (direct), or by Spark's own readers (spark)."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.binary import FAULTS
from flowspark.connect import is_connect
from flowspark.copies import warn_of_copies
from flowspark.files import (
    LogFile,
    check_reader,
    file_identity,
    is_local,
    normal,
    platform_uri,
    reported_path,
)
from flowspark.keys import Selection
from flowspark.listing import Found, NothingFound, list_input, own_listing
from flowspark.locations import check_location
from flowspark.missing import shortened
from flowspark.spark_reader import SparkReader

log = logging.getLogger(__name__)

EVERYTHING = Selection()
_NO_HOST = "^(file|dbfs):/+"


@dataclass(frozen=True)
class LogFiles:
    """The log files of a run, sorted by path.

    Attributes:
        files: the files.
        binary: frames with their bytes (see `binary.load`) if Spark's binaryFile source reads them, else None.
        not_searched: the folders that were not searched for a selection, and the files that could not be placed.
    """

    files: list[LogFile]
    binary: list[DataFrame] | None = None
    not_searched: tuple[str, ...] = ()

    def only(self, paths: Iterable[str]) -> LogFiles:
        """The files with these paths, as they were listed."""
        chosen = {*paths}
        files = [file for file in self.files if file.path in chosen]
        if self.binary is None:
            return LogFiles(files)
        return LogFiles(files, [_only(frame, chosen) for frame in self.binary])


def _only(frame: DataFrame, chosen: Collection[str]) -> DataFrame:
    """The rows of some files of a frame. Because they are chosen by `_metadata`, Spark opens no other files.

    A frame with none of them has no rows. It may be that of the empty files, which has no `_metadata`.
    """
    # Spark has two ways to write a URI without a host
    uris = [re.sub(_NO_HOST, r"\1:/", uri) for uri in frame.inputFiles() if reported_path(unquote(uri)) in chosen]
    return frame.where(F.regexp_replace("_metadata.file_path", _NO_HOST, "$1:/").isin(uris)) if uris else frame.limit(0)


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
    check_reader(reader, inputs)
    listings = {root: _own_listing(root, reader, selection) for root in dict.fromkeys(map(normal, inputs))}
    direct = reader == "direct" or (reader == "auto" and _auto_is_direct(spark, listings))
    found: dict[str, LogFile] = {}
    by_spark = SparkReader(spark, ignored)
    not_searched: set[str] = set()
    for root, own in listings.items():
        try:
            if isinstance(own, NothingFound):
                raise own
            if own is None:
                listed = by_spark.add_unlisted(root, selection, found)
            else:
                listed = own if direct else by_spark.add_listed(root, own, found)
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
    files = sorted(found.values(), key=lambda file: file.path)
    return LogFiles(files, by_spark.frames or None, shortened(not_searched))


def _own_listing(root: str, reader: str, selection: Selection) -> Found | NothingFound | None:
    """What flowspark's own listing of an input finds; None if only Spark can list the input, and `reader` lets it."""
    try:
        return list_input(root, selection) if reader == "direct" else own_listing(root, selection)
    except NothingFound as nothing:
        return nothing


def _auto_is_direct(spark: SparkSession, listings: Mapping[str, Found | NothingFound | None]) -> bool:
    """Whether `auto` means the direct reader: flowspark itself could list all inputs, with the driver's credentials.

    A client of Spark Connect is not the driver. What it may read on S3 says nothing of what the server's workers may read.
    """
    only_spark = [root for root, own in listings.items() if own is None]
    remote = [root for root in listings if not is_local(root)] if is_connect(spark) else []
    if only_spark:
        log.info("Spark's reader opens the files, because flowspark itself cannot list %s", only_spark[0])
    elif remote:
        log.info(
            "Spark's reader opens the files, because on Spark Connect only the server's access to %s counts", remote[0]
        )
    else:
        log.info("the direct reader opens the files, because flowspark itself can list all inputs")
    return not (only_spark or remote)

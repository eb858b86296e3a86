"""The files of an input as rows of bytes, read by Spark's binaryFile source (`--reader spark`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from flowspark.binary import MISSING, empty_files, load, telling_listing, why_unread
from flowspark.connect import temporary_setting
from flowspark.errors import VANISHED, InputError
from flowspark.files import LogFile, file_identity, is_direct, is_local, reported_path, spark_path, unopenable, utc_text
from flowspark.keys import Selection, some
from flowspark.listing import Found, NothingFound
from flowspark.missing import missing_input, nothing_found
from flowspark.spark_listing import list_with_spark, what_spark_sees
from flowspark.storage import storage_of

_LARGEST = (1 << 31) - 1  # bytes that a value in Spark can hold
_LISTING_TASKS = "64"  # to list local files by name: Spark takes up to 10,000 tasks, with which 5,000 files take a minute
_SCHEMA = "path string, modificationTime timestamp, length bigint, content binary"


@dataclass
class SparkReader:
    """Spark's reader for the inputs of a run, which are added one after the other.

    Attributes:
        spark: the session.
        ignored: the faults of a file that do not fail the query (`binary.FAULTS`): such a file has no row.
        frames: read all files that were added (see `binary.load`).
    """

    spark: SparkSession
    ignored: Sequence[str]
    frames: list[DataFrame] = field(default_factory=list)

    def add_listed(self, root: str, own: Found, known: Mapping[str, LogFile]) -> Found:
        """Adds the files under an input that flowspark's own listing has found, except those that are known already.

        This listing decides which files there are: Spark's listing follows links without end, and silently leaves out what
        it cannot open. Files that Spark leaves out are bad files.

        Raises:
            InputError: Spark cannot list the input, or cannot hand over a file.
        """
        files = [file for file in own.files if file_identity(file.path) not in known]
        _check_sizes(files)
        readable = {file.path for file in files if file.modified and not unopenable(file.path)}
        if len(readable) < len(files) and MISSING not in self.ignored:
            closed = next(file.path for file in files if file.path not in readable)
            raise InputError(f"{closed}: {why_unread(self.spark, closed)}")
        # for local paths Spark gets the files themselves, because folders may have links that it would follow
        places = own.places if len(readable) == len(own.files) and not is_local(root) else readable
        frame, listed = self._load_all(root, places)
        if not readable.issuperset(listed):  # other files have come meanwhile, or only flowspark skips them
            frame, listed = self._load_all(root, readable)
        others = {*listed} - readable
        if others:
            raise InputError(
                f"Spark reads other files under input {root} than it was asked for: {some(others)}; a folder and a file "
                "have the same name there; use --reader direct, or rename the file"
            )
        unseen = readable.difference(listed)
        if unseen and MISSING not in self.ignored:
            raise InputError(f"{min(unseen)}: {why_unread(self.spark, min(unseen))}")
        self._add(frame, empty={file.path for file in files if not file.size} & {*listed})
        return Found(files, [], own.not_searched)

    def add_unlisted(self, root: str, selection: Selection, known: Mapping[str, LogFile]) -> Found:
        """Adds the files of a selection under an input that only Spark can list, except those that are known already.

        Raises:
            InputError: Spark cannot list the input, or cannot hand over a file.
            NothingFound: no file.
        """
        spark_found = list_with_spark(partial(load, self.spark, ignored=self.ignored), root, selection)
        if spark_found is None:
            raise NothingFound(missing_input(root))
        if not spark_found.taken:
            there = what_spark_sees(root, spark_found.listed) if selection else None
            missed = spark_found.not_searched
            raise NothingFound(nothing_found(root, selection, there, missed), missed)
        names = [path for path in spark_found.taken if file_identity(path) not in known]
        if not names:
            return Found([], [], spark_found.not_searched)
        frames = spark_found.frames
        if len(names) < len(spark_found.listed):  # the pattern matches more than the selection: read only the chosen files
            frames = [self._load_all(root, names)[0]]
        listing = reduce(DataFrame.unionByName, frames).select("path", "length", F.unix_timestamp("modificationTime"))
        with telling_listing(root):
            rows = [(reported_path(path), size, modified) for path, size, modified in listing.collect()]
        files = {path: LogFile(path, size, utc_text(modified)) for path, size, modified in rows}
        _check_sizes(files.values())
        self._add(*frames, empty=empty_files(self.spark, [path for path in names if path not in files]))
        return Found([files.get(path) or LogFile(path, 0) for path in names], [], spark_found.not_searched)

    def _add(self, *frames: DataFrame, empty: Iterable[str]) -> None:
        """Adds frames, and one with rows for empty files, because Spark makes none."""
        rows = [(path, None, 0, b"") for path in empty]
        self.frames += [*frames, self.spark.createDataFrame(rows, _SCHEMA)] if rows else frames

    def _load_all(self, root: str, places: Collection[str]) -> tuple[DataFrame, list[str]]:
        """The frame that reads some files and folders, without those that are gone; and the files that Spark sees there."""
        if not places:
            return self.spark.createDataFrame([], _SCHEMA), []
        name = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
        with temporary_setting(self.spark, name, _LISTING_TASKS) if is_local(root) else nullcontext():
            loaded = load(self.spark, map(spark_path, places), self.ignored)
        if loaded is None and is_direct(root):
            there = [place for place in places if storage_of(root).exists(place)]
            if len(there) < len(places):
                return self._load_all(root, there)
        if loaded is None:
            raise InputError(f"a file under input {root} {VANISHED}")
        return loaded


def _check_sizes(files: Iterable[LogFile]) -> None:
    large = [file.path for file in files if file.size > _LARGEST]
    if large:
        raise InputError(f"Spark hands over files of up to 2 GB, and these are larger: {some(large)}; use --reader direct")

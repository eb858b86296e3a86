"""What Spark's own listing finds under an input, for storage that flowspark itself cannot list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame

from flowspark.files import hidden, spark_path
from flowspark.keys import AWS_LOGS, Selection, describe_keys, some
from flowspark.search import Pattern, aws_patterns

Load = Callable[[list[str]], tuple[DataFrame, list[str]] | None]
"""Gives the frame that reads some paths or patterns, and the files that it lists; None if one of them matches nothing."""


@dataclass(frozen=True)
class SparkFound:
    """What Spark lists for a run.

    Attributes:
        frames: read all files that Spark has listed.
        listed: the paths of these files.
        taken: those of them that the run takes.
        not_searched: the folders that were not searched, and the files that could not be placed.
    """

    frames: list[DataFrame]
    listed: list[str]
    taken: list[str]
    not_searched: list[str]


def list_with_spark(load: Load, root: str, selection: Selection) -> SparkFound | None:
    """The files under an input that a selection takes; None when the input does not exist.

    AWS's keys are looked for only in the input and one folder below it, because Spark takes patterns and cannot search. If
    there are none for the selection, the input is listed whole.

    Raises:
        InputError: the input cannot be listed, or a name does not tell what is asked for.
    """
    inside = bool(aws_patterns(root, Selection()))
    places = [root] if inside else [f"{root}/{AWS_LOGS}", f"{root}/*/{AWS_LOGS}"]
    globs = [
        spark_path(root) + place.removeprefix(root) + _glob(pattern)
        for place in places
        for pattern in aws_patterns(place, selection)
        if selection
    ]
    loaded = [found for glob in globs if (found := load([glob]))]
    if loaded:
        frames = [frame for frame, _ in loaded]
        listed = [path for _, names in loaded for path in names]
        beyond = [] if inside else [f"{root}, outside of {places[0]} and {places[1]}"]
        return SparkFound(frames, listed, selection.choose(_shown(listed, root)), beyond)
    everything = load([spark_path(root)])
    if everything is None:
        return None
    frame, listed = everything
    shown = _shown(listed, root)
    if any(f"/{AWS_LOGS}/" in path.removeprefix(root) for path in shown):
        taken, unclear = selection.sort(shown)
        return SparkFound([frame], listed, taken, list(unclear))
    return SparkFound([frame], listed, selection.choose(shown), [])


def what_spark_sees(root: str, listed: list[str]) -> str:
    """Describes what an input holds, for the message that no file was found."""
    if any(f"/{AWS_LOGS}/" in path for path in listed):
        return describe_keys(listed)
    return f"{some(path.removeprefix(root).strip('/') for path in listed)}, and no folder {AWS_LOGS}"


def _glob(pattern: Pattern) -> str:
    """A pattern in the form for Spark's readers. They list folder by folder, but not where the name is known."""
    return "".join(f"/{names[0]}" if len(names) == 1 else f"/{{{','.join(names)}}}" for names in pattern)


def _shown(listed: list[str], root: str) -> list[str]:
    """The listed files that no name below the input hides. If the input is a file, its own name counts."""

    def is_hidden(path: str) -> bool:
        parts = path.removeprefix(root).strip("/").split("/") if path != root else [root.rsplit("/", 1)[-1]]
        return any(hidden(part) for part in parts if part)

    return [path for path in listed if not is_hidden(path)]

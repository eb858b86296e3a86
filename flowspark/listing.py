"""Which log files an input has for a run: all of them, or those of an interval, found by their keys; without Spark."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import TypeVar

from flowspark.errors import InputError
from flowspark.files import LogFile, is_local
from flowspark.keys import AWS_LOGS, Pattern, Selection, aws_patterns, describe_keys, some
from flowspark.storage import Storage

log = logging.getLogger(__name__)

_AT_ONCE = 16  # folders that are asked for at a time: on S3 the answers take longer to come than to make

Answer = TypeVar("Answer")


class Listing:
    """An input's folders and files; no folder is asked for twice.

    Args:
        storage: where the input lies.
        root: the input.
    """

    def __init__(self, storage: Storage, root: str) -> None:
        self._storage = storage
        self._root = root
        self._levels: dict[str, tuple[list[str], list[LogFile]]] = {}

    def files(self, selection: Selection) -> list[LogFile]:
        """The log files that a selection takes; hidden ones are left out.

        An input with AWS's keys is read by them alone: only the folders that can hold files of the selection are listed,
        whatever else lies beside them. Elsewhere every file is listed, and taken for what its name tells.

        Raises:
            InputError: the input cannot be listed, holds something that is no file, or a name does not tell what is asked.
        """
        if selection and self._has_aws_keys():
            patterns = aws_patterns(self._root, selection)
            listed = {file.path: file for pattern in patterns for file in self._expand(pattern)}
        else:
            listed = {file.path: file for file in self._storage.tree(self._root)}
            if selection:
                log.info("input %s has no %s: all its %s file(s) were listed", self._root, AWS_LOGS, f"{len(listed):,}")
        return [listed[path] for path in selection.choose(listed)] if selection else list(listed.values())

    def exists(self) -> bool:
        """Whether the input is there at all."""
        return self._storage.exists(self._root)

    def _level(self, folder: str) -> tuple[list[str], list[LogFile]]:
        if folder not in self._levels:
            self._levels[folder] = self._storage.level(folder)
        return self._levels[folder]

    def _has_aws_keys(self) -> bool:
        """Whether the input lies in `AWSLogs`, or holds it; the rest of it is not listed for that."""
        return f"/{AWS_LOGS}/" in f"{self._root}/" or any(self._level(f"{self._root}/{AWS_LOGS}"))

    def _expand(self, pattern: Pattern) -> list[LogFile]:
        """The files that a pattern leads to, and those in the folders that it leads to."""
        folders, files = self._walk(pattern)
        trees = _at_once(lambda folder: list(self._storage.tree(folder)), folders)
        return [*files, *(file for tree in trees for file in tree)]

    def _walk(self, pattern: Pattern) -> tuple[list[str], list[LogFile]]:
        """The folders that a pattern leads to, and the files; a name that is known is not looked for."""
        folders, files = [self._root], list[LogFile]()
        for place, wanted in enumerate(pattern, 1):
            if not any(set(name) & set("*[") for name in wanted):
                folders = [f"{folder}/{name}" for folder in folders for name in wanted]
                continue
            levels = _at_once(self._level, folders)
            if place == len(pattern):
                beside = (file for _, files in levels for file in files)
                files = [file for file in beside if _matching([file.path.rsplit("/", 1)[-1]], wanted)]
            folders = [
                f"{folder}/{name}"
                for folder, (names, _) in zip(folders, levels, strict=True)
                for name in _matching(names, wanted)
            ]
        return folders, files

    def what_is_there(self) -> str:
        """What the input holds, for a person who has found nothing in it."""
        if not self._has_aws_keys():
            folders, files = self._level(self._root)
            names = [*(f"{name}/" for name in folders), *(file.path.rsplit("/", 1)[-1] for file in files)]
            return f"{some(names)}, and no folder {AWS_LOGS}"
        patterns = aws_patterns(self._root, Selection())
        regions = [folder for pattern in patterns for folder in self._walk(pattern)[0]]
        return describe_keys(_at_once(self._newest_day, regions)) if regions else f"no flow logs in its {AWS_LOGS}"

    def _newest_day(self, region: str) -> str:
        folder = region
        for _ in ("year", "month", "day"):
            folder = "/".join([folder, *self._level(folder)[0][-1:]])
        return f"{folder}/"


def _at_once(ask: Callable[[str], Answer], folders: Iterable[str]) -> list[Answer]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, folders))


def _matching(names: list[str], wanted: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]


def missing_hint(uri: str) -> str:
    """What may be wrong with a path or URI that leads nowhere, for a person who reads that it does not exist."""
    if re.search(r"\$\w|\$\{|\{\{|%\(|<\w", uri):
        return "it looks like a variable or a template that was not filled in"
    if set(uri) & set("*?[{"):
        return "patterns are not expanded: give the folder, or several --input"
    if "," in uri:
        return "a comma is part of the name: several locations are given one by one (--input may be repeated)"
    if uri != uri.strip():
        return "its name begins or ends with a blank: check the path"
    return "check the path" if is_local(uri) else "check the bucket and the path"


def missing_input(uri: str) -> InputError:
    """The error for an input that is not there."""
    return InputError(f"input {uri} does not exist; {missing_hint(uri)}")


def nothing_found(uri: str, selection: Selection, there: str | None) -> InputError:
    """The error for an input without a file for a run: what was looked for, and what is there instead."""
    if not selection:
        return InputError(
            f"no log file under input {uri}: nothing is there, or only names that begin with '_' or '.', which are "
            "skipped; give another --input, or --allow-empty if there may be none"
        )
    seen = f"There: {there}. " if there else ""
    return InputError(
        f"no log file under input {uri} for {selection}. {seen}Give another --input, interval or filter, or --allow-empty "
        "if there may be none"
    )

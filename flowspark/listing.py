"""Lists, without Spark, the log files of an input: all of them, or those of a selection, which are found by their keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain

from flowspark.errors import CannotList, InputError
from flowspark.files import Level, LogFile, is_direct, is_local
from flowspark.keys import AWS_LOGS, Selection, describe_keys, some, unplaced
from flowspark.missing import missing_input, nothing_found
from flowspark.search import Pattern, Search, at_once, aws_patterns, search
from flowspark.storage import Storage, storage_of

log = logging.getLogger(__name__)

_DAYS_LOOKED_UP = 20  # regions whose newest day is looked up for a message: each takes three listing requests


@dataclass(frozen=True)
class Found:
    """What a listing has found for a run.

    Attributes:
        files: the log files that are taken.
        places: paths that lead to exactly these files: the files themselves, or folders of which all files are taken.
        not_searched: the folders that were not looked into, and the files that could not be placed.
        denied: whether one of these folders is closed to flowspark's own credentials.
    """

    files: list[LogFile]
    places: list[str]
    not_searched: list[str]
    denied: bool = False


class NothingFound(Exception):
    """Raised when an input has no file for the run. Carries the error to raise unless the run may be without files."""

    def __init__(self, error: InputError, not_searched: Iterable[str] = (), *, is_there: bool = True) -> None:
        self.error = error
        self.not_searched = not_searched
        self.is_there = is_there


def list_input(root: str, selection: Selection) -> Found:
    """What flowspark's own listing of an input finds for a run.

    Raises:
        InputError: as for `Listing.files`.
        NothingFound: the input has no file for the run.
    """
    listing = Listing(storage_of(root), root)
    found = listing.files(selection)
    if found.files:
        return found
    if not listing.exists():
        raise NothingFound(missing_input(root), is_there=False)
    there = listing.what_is_there() if selection else None
    raise NothingFound(nothing_found(root, selection, there, found.not_searched), found.not_searched)


def own_listing(root: str, selection: Selection) -> Found | None:
    """What flowspark's own listing of an input finds; None if only Spark, with its own credentials, can list it.

    Raises:
        InputError: as for `Listing.files`.
        NothingFound: no file.
    """
    if not is_direct(root):
        return None
    try:
        found = list_input(root, selection)
    except CannotList as error:
        if is_local(root):
            raise
        reason = str(error)
    except NothingFound as nothing:
        if is_local(root) or nothing.is_there:
            raise
        reason = f"{nothing.error}"
    else:
        if is_local(root) or not found.denied:
            return found
        reason = f"a folder under input {root} is closed to flowspark's own credentials"
    log.warning(
        "%s; Spark lists the input instead, and leaves out keys that have an empty folder name, '.' or '..'", reason
    )
    return None


class Listing:
    """An input's folders and files; no folder is asked for twice.

    Args:
        storage: where the input lies.
        root: the input.
    """

    def __init__(self, storage: Storage, root: str) -> None:
        self._storage = storage
        self._root = root
        self._levels: dict[str, Level] = {}
        self._nameless: list[str] = []

    def files(self, selection: Selection) -> Found:
        """The log files that a selection takes; hidden ones are left out.

        Below a folder `AWSLogs` only the folders that can hold files of the selection are listed. Files that were seen on
        the way there are taken when their names tell that they belong to it. An input that holds no `AWSLogs` is listed
        whole, and each file must tell what is asked for.

        Raises:
            InputError: the input cannot be listed or holds something that is not a file, or a file's name does not tell
                what is asked for.
        """
        if not selection:
            files = self._tree(self._root)
            return Found(files, [self._root] if files else [], [])
        searched = self._search()
        if not searched.roots:
            return self._without_keys(searched, selection)
        trees: dict[str, list[LogFile]] = {}
        beside: list[LogFile] = []
        for root in searched.roots:
            for pattern in aws_patterns(root, selection):
                folders, files = self._walk(root, pattern)
                trees.update(zip(folders, at_once(self._tree, folders), strict=True))
                beside += files
        seen = self._seen()
        files = self._once(chain(*trees.values(), seen))
        paths, unclear = selection.sort(file.path for file in files)
        if unclear:
            below = {file.path for file in chain(*trees.values(), beside)}
            if not below.isdisjoint(unclear):
                raise unplaced(selection, {path: what for path, what in unclear.items() if path in below})
        taken = {*paths}
        places = [*_places(trees, taken), *(file.path for file in seen if file.path in taken)]
        not_searched = [*searched.not_searched, *self._nameless, *unclear]
        return Found([file for file in files if file.path in taken], places, not_searched, searched.denied)

    def _without_keys(self, searched: Search, selection: Selection) -> Found:
        """The files of an input in which no `AWSLogs` was found. If the search has not seen all of it, it is listed."""
        files = self._seen()
        if searched.not_searched or self._nameless or not files:
            files = self._tree(self._root)
        log.info("input %s has no %s: all its %s file(s) were listed", self._root, AWS_LOGS, f"{len(files):,}")
        taken = {*selection.choose(file.path for file in files)}
        return Found([file for file in files if file.path in taken], [*_places({self._root: files}, taken)], [])

    def exists(self) -> bool:
        """Whether the input is there at all."""
        return self._storage.exists(self._root)

    def _search(self) -> Search:
        if aws_patterns(self._root, Selection()):
            return Search([self._root])
        try:
            return search(self._root, self._level, self._storage.real)
        except CannotList as error:
            inside = f"{self._root}/{AWS_LOGS}"  # the credentials may allow only this folder
            if not error.denied or not any(self._level(inside)[:2]):
                raise
            return Search([inside], [self._root], denied=True)

    def _level(self, folder: str) -> Level:
        if folder not in self._levels:
            self._levels[folder] = level = self._storage.level(folder)
            if level.nameless:
                self._nameless.append(f"{folder}//")
        return self._levels[folder]

    def _seen(self) -> list[LogFile]:
        """The files in the folders that were listed one by one."""
        return [file for level in self._levels.values() for file in level.files]

    def _once(self, files: Iterable[LogFile]) -> list[LogFile]:
        """The files, each once, however many links lead to its folder. A name without links is preferred."""
        real = lru_cache(None)(self._storage.real)
        top, start = real(self._root), len(self._root)
        kept: dict[str, LogFile] = {}
        for file in files:
            folder, _, name = file.path.rpartition("/")
            if real(folder) == top + folder[start:]:
                kept[file.path] = file
            else:
                kept.setdefault(self._root + real(folder).removeprefix(top) + f"/{name}", file)
        return list(kept.values())

    def _tree(self, folder: str) -> list[LogFile]:
        return list(self._storage.tree(folder))

    def _walk(self, root: str, pattern: Pattern) -> tuple[list[str], list[LogFile]]:
        """The folders that a pattern leads to, and the files that its last part matches. Known names are not listed."""
        folders, files = [root], list[LogFile]()
        for place, wanted in enumerate(pattern, 1):
            if not any(set(name) & set("*[") for name in wanted):
                folders = [f"{folder}/{name}" for folder in folders for name in wanted]
                continue
            levels = at_once(self._level, folders)
            if place == len(pattern):
                beside = (file for level in levels for file in level.files)
                files = [file for file in beside if _matching([file.path.rsplit("/", 1)[-1]], wanted)]
            folders = [
                f"{folder}/{name}"
                for folder, level in zip(folders, levels, strict=True)
                for name in _matching(level.folders, wanted)
            ]
        return folders, files

    def what_is_there(self) -> str:
        """Describes what the input holds, for the message that no file was found."""
        searched = self._search()
        if not searched.roots:
            folders, files, _ = self._level(self._root)
            names = [*(f"{name}/" for name in folders), *(file.path.rsplit("/", 1)[-1] for file in files)]
            return f"{some(names)}, and no folder {AWS_LOGS}"
        patterns = ((root, pattern) for root in searched.roots for pattern in aws_patterns(root, Selection()))
        regions = [folder for root, pattern in patterns for folder in self._walk(root, pattern)[0]]
        if not regions:
            return f"no flow logs in its {AWS_LOGS}"
        return describe_keys([*at_once(self._newest_day, regions[:_DAYS_LOOKED_UP]), *regions[_DAYS_LOOKED_UP:]])

    def _newest_day(self, region: str) -> str:
        folder = region
        for _ in ("year", "month", "day"):
            folder = "/".join([folder, *self._level(folder).folders[-1:]])
        return f"{folder}/"


def _places(trees: Mapping[str, Sequence[LogFile]], taken: Set[str]) -> Iterator[str]:
    """The shortest list of paths to the taken files: a folder if all of its files are taken, else the files."""
    for folder, files in trees.items():
        chosen = [file.path for file in files if file.path in taken]
        yield from [folder] if chosen and len(chosen) == len(files) else chosen


def _matching(names: list[str], wanted: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]

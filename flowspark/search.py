"""Finds where AWS's keys lie: the folders `AWSLogs` in an input, and below them only the folders of a selection.

Logs may be delivered under any prefix, so an input may hold several of these trees:

    logs/AWSLogs/…            found in the first listing
    logs/team-a/AWSLogs/…     found in the second; and so on, breadth first, up to MOST_FOLDERS folders
    logs/reports/x.csv        searched on the way, and outside every AWSLogs
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from flowspark.errors import CannotList, InputError
from flowspark.files import Level
from flowspark.keys import AWS_LOGS, Interval, Selection

MOST_FOLDERS = 1_000
"""How many folders of an input are listed in search of `AWSLogs`."""

_AWS_NAME = re.compile(r"\d{12}|o-[a-z0-9]{10,32}|aws-account-id=.*")  # an account's or organisation's folder in AWSLogs
_AT_ONCE = 16  # folders that are listed at the same time: on S3, most of the time of a listing is waiting

Answer = TypeVar("Answer")


@dataclass
class Search:
    """What a search has found.

    Attributes:
        roots: the folders named `AWSLogs`.
        not_searched: the folders that were not looked into: too many, closed to these credentials, or holding something
            that is not a file.
        denied: whether one of them is closed to these credentials.
    """

    roots: list[str] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)
    denied: bool = False


def search(top: str, level: Callable[[str], Level], real: Callable[[str], str]) -> Search:
    """Searches an input for folders `AWSLogs`, breadth first. It looks into each real folder once.

    It does not look into the folders of accounts, because these are listed by AWS's keys (`aws_patterns`).

    Args:
        top: the input.
        level: lists a folder.
        real: tells a folder's name without links. Links are followed after all else, so that real names go first.

    Raises:
        InputError: the input itself or an `AWSLogs` cannot be listed, or any folder for a reason that may pass.
    """

    def look(folder: str) -> Level | None:
        try:
            return level(folder)
        except InputError as error:
            if folder == top or _is_root(folder) or (isinstance(error, CannotList) and not error.denied):
                raise
            found.denied = found.denied or isinstance(error, CannotList)
            return None

    found, seen, room = Search(), set[str](), MOST_FOLDERS
    wave, links = [top], list[str]()
    while wave or links:
        if not wave:
            links.sort()
            wave = [links.pop(0)]
        new = {folder: name for folder in wave if (name := real(folder)) not in seen}
        seen.update(new.values())
        roots = [folder for folder in new if _is_root(folder)]
        others = [folder for folder in new if not _is_root(folder)]
        found.roots += roots
        found.not_searched += others[room:]
        folders = [*roots, *others[:room]]
        room = max(0, room - len(others))
        wave = []
        for folder, listed in zip(folders, at_once(look, folders), strict=True):
            if listed is None:
                found.not_searched.append(folder)
                continue
            for name in listed.folders:
                path = f"{folder.rstrip('/')}/{name}"
                if not (_is_root(folder) and _AWS_NAME.fullmatch(name)):
                    (wave if real(path) == f"{new[folder].rstrip('/')}/{name}" else links).append(path)
    return found


def _is_root(folder: str) -> bool:
    return folder.endswith(f"/{AWS_LOGS}")


def at_once(ask: Callable[[str], Answer], folders: Iterable[str]) -> list[Answer]:
    """The answers of `ask` for some folders, in their order. It asks for several of them at the same time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, folders))


Pattern = tuple[tuple[str, ...], ...]
"""For each level of folders, the wanted names, with `*`, `?` and `[…]`. What the last level matches is taken whole."""


def aws_patterns(root: str, selection: Selection) -> list[Pattern]:
    """The patterns for the folders of a selection below a root of AWS's keys; an empty list if no such keys can lie there.

    There are patterns for plain and Hive-compatible keys, daily and hourly ones, with and without an organisation's id.

    Args:
        root: a folder `AWSLogs`, or one that lies in it, however deep.
        selection: what is asked for.

    >>> aws_patterns("s3://b/AWSLogs/1/vpcflowlogs", Selection(Interval("2026-11-22"), regions=("eu-west-1",)))
    [(('eu-west-1',), ('2026',), ('11',), ('22',))]
    """
    _, inside, below = f"{root}/".rpartition(f"/{AWS_LOGS}/")
    given = [name for name in below.split("/") if name]
    patterns = []
    for hive in (False, True):
        for organisation in ([], [("o-*",)]):
            names = [*organisation, *_levels(selection, hive=hive), *_date(selection.interval, hive=hive)]
            if inside and all(_matches(name, wanted) for name, wanted in zip(given, names, strict=False)):
                patterns.append(tuple(names[len(given) :]))
    return list(dict.fromkeys(patterns))


def _matches(name: str, wanted: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in wanted)


def _levels(selection: Selection, *, hive: bool) -> list[tuple[str, ...]]:
    if not hive:
        return [selection.accounts or ("[0-9]*",), ("vpcflowlogs",), selection.regions or ("*",)]
    accounts = tuple(f"aws-account-id={account}" for account in selection.accounts or ("*",))
    regions = tuple(f"aws-region={region}" for region in selection.regions or ("*",))
    return [accounts, ("aws-service=vpcflowlogs", "service=vpcflowlogs"), regions]


def _date(interval: Interval | None, *, hive: bool) -> list[tuple[str, ...]]:
    if interval is None:
        return []
    parts = zip(("year", "month", "day"), interval.day.split("-"), strict=True)
    folders: list[tuple[str, ...]] = [(f"{name}={value}",) if hive else (value,) for name, value in parts]
    if interval.hour is not None:  # the hour's folder; or all files of a day's folder, whose names are checked later
        folders.append((interval.hour, f"hour={interval.hour}", "[!h]??*", "h[!o]*"))
    return folders

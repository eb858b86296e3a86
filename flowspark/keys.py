"""AWS's keys: what a log file's path tells of its account, region, flow log and time, and which files an interval has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from flowspark.errors import InputError, UsageError, printable

AWS_LOGS = "AWSLogs"
ALL = "all"
_NAME = re.compile(r"(?P<account>[^_/]+)_vpcflowlogs_(?P<region>[^_/]+)_(?P<flow_log_id>fl-[^_/]+)_")
_TIME = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)Z")
_FOLDERS = re.compile(
    r"/AWSLogs/(?:o-[^/]+/)?(?:aws-account-id=)?(?P<account>[^/]+)/(?:(?:aws-)?service=)?vpcflowlogs/"
    r"(?:aws-region=)?(?P<region>[^/]+)/"
    r"(?:(?:year=)?(?P<year>\d{4})/(?:month=)?(?P<month>\d\d)/(?:day=)?(?P<day>\d\d)/(?:(?:hour=)?(?P<hour>\d\d)/)?)?"
)
_INTERVAL = re.compile(r"(\d{4}-\d\d-\d\d)(?:T([01]\d|2[0-3]))?")
_KEY_PART = re.compile(r"[A-Za-z0-9-]+")
_SHOWN = 5


@dataclass(frozen=True)
class Interval:
    """A UTC day (`2026-11-22`), or an hour (`05`) of it."""

    day: str
    hour: str | None = None

    @property
    def label(self) -> str:
        """The interval as it is written in the output's folders."""
        return self.day if self.hour is None else f"{self.day}T{self.hour}"


def parse_interval(text: str) -> Interval:
    """The interval that a person gives.

    Raises:
        UsageError: it is neither a day nor an hour.

    >>> parse_interval("2026-11-22T05")
    Interval(day='2026-11-22', hour='05')
    """
    match = _INTERVAL.fullmatch(text)
    try:
        if match and date.fromisoformat(match[1]):
            return Interval(match[1], match[2])
    except ValueError:
        pass  # no such day
    raise UsageError(f"interval '{text}' is no UTC day or hour; write it as 2026-11-22 or 2026-11-22T05")


@dataclass(frozen=True)
class KeyFacts:
    """What a path tells of its log file; None for what it does not tell. `time` is the publish time, `20261122T0515Z`."""

    account: str | None
    region: str | None
    flow_log_id: str | None
    time: str | None


def key_facts(path: str) -> KeyFacts:
    """The facts in a path, spelled as they are there. AWS's file name decides; without it, the folders do.

    >>> key_facts("s3://b/x/0012_vpcflowlogs_eu-west-1_fl-0a_20261122T0515Z_9f.log.gz")
    KeyFacts(account='0012', region='eu-west-1', flow_log_id='fl-0a', time='20261122T0515Z')
    """
    file_name = path.rsplit("/", 1)[-1]
    name, folders, time = _NAME.match(file_name), _FOLDERS.search(path), _TIME.search(file_name)
    told = name or folders
    return KeyFacts(
        told["account"] if told else None,
        told["region"] if told else None,
        name["flow_log_id"] if name else None,
        time[0] if time else None,
    )


@dataclass(frozen=True)
class Selection:
    """Which of the files under the inputs a run takes; an empty filter takes all."""

    interval: Interval | None = None
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    flow_log_ids: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.interval or self.accounts or self.regions or self.flow_log_ids)

    def __str__(self) -> str:
        asked = [f"interval {self.interval.label}"] if self.interval else []
        named = (("account", self.accounts), ("region", self.regions), ("flow log", self.flow_log_ids))
        return ", ".join([*asked, *(f"{name} {' or '.join(values)}" for name, values in named if values)])

    @property
    def label(self) -> str:
        """The interval's label."""
        return self.interval.label if self.interval else ALL

    def sort(self, paths: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """The paths that are taken; and, by path, what is missing in each path that does not tell all that is asked for."""
        taken: list[str] = []
        unclear: dict[str, str] = {}
        for path in paths:
            verdict = self._takes(path)
            if verdict is True:
                taken.append(path)
            elif verdict:
                unclear[path] = verdict
        return taken, unclear

    def choose(self, paths: Iterable[str]) -> list[str]:
        """The paths that are taken.

        Raises:
            InputError: some paths do not tell what is asked for; the first of them are named.
        """
        taken, unclear = self.sort(paths)
        if unclear:
            raise unplaced(self, unclear)
        return taken

    def _takes(self, path: str) -> bool | str:
        """Whether a file is taken, or the name of what its path does not tell."""
        if self.accounts or self.regions or self.flow_log_ids:
            facts = key_facts(path)
            for what, wanted, value in (
                ("account", self.accounts, facts.account),
                ("region", self.regions, facts.region),
                ("flow log id", self.flow_log_ids, facts.flow_log_id),
            ):
                if wanted and value is None:
                    return what
                if wanted and value not in wanted:
                    return False
        return self.interval is None or _lies_in(self.interval, path)


def unplaced(selection: Selection, unclear: Mapping[str, str]) -> InputError:
    """The error for files whose paths do not tell what is asked for. It names the first of them, and what they lack."""
    named = [printable(f"{path} does not tell its {what}") for path, what in unclear.items()]
    more = [f"… and {len(named) - _SHOWN} more"] if len(named) > _SHOWN else []
    return InputError(
        f"{len(named)} file(s) cannot be placed for {selection}; AWS's file names tell all of it "
        "(ACCOUNT_vpcflowlogs_REGION_fl-ID_20261122T0515Z_HASH.log.gz): give an --input of such files, or run "
        "without the flag:\n  " + "\n  ".join([*named[:_SHOWN], *more])
    )


def select(interval: str | None, accounts: Sequence[str], regions: Sequence[str], flow_log_ids: Sequence[str]) -> Selection:
    """The selection that a person gives.

    Raises:
        UsageError: the interval is neither a day nor an hour, or a filter has a value that no key can hold.

    >>> select("2026-11-22", ["123456789010"], [], []).label
    '2026-11-22'
    """
    filters = (("account", accounts), ("region", regions), ("flow_log_id", flow_log_ids))
    for name, values in filters:
        if isinstance(values, str):
            raise UsageError(f"{name} '{values}' is one text; give a list of them")
        for value in values:
            if not _KEY_PART.fullmatch(value):
                raise UsageError(f"{name} '{value}' cannot be part of AWS's keys; give it as they spell it")
    parsed = parse_interval(interval) if interval else None
    return Selection(parsed, tuple(accounts), tuple(regions), tuple(flow_log_ids))


def _lies_in(interval: Interval, path: str) -> bool | str:
    """Whether a path lies in an interval, or the name of what it does not tell.

    The folders decide on the day, and on the hour if they have one. Otherwise the time in the file's name decides.
    """
    folders, name = _FOLDERS.search(path), _TIME.search(path.rsplit("/", 1)[-1])
    day, hour = ("-".join(name.group(1, 2, 3)), name[4]) if name else (None, None)
    if folders and folders["day"]:
        day, hour = "-".join(folders.group("year", "month", "day")), folders["hour"] or hour
    if day is None or (day == interval.day and interval.hour and hour is None):
        return "time"
    return day == interval.day and interval.hour in (None, hour)


def describe_keys(paths: Iterable[str]) -> str:
    """Describes the accounts, regions and days of some of AWS's keys, for the message that no file was found among them.

    >>> describe_keys(["s3://b/AWSLogs/1/vpcflowlogs/eu-west-1/2026/11/22/"])
    'account(s) 1, region(s) eu-west-1, plain folders, newest day 2026-11-22'
    """
    found = [match for path in paths if (match := _FOLDERS.search(path))]
    days = ["-".join(match.group("year", "month", "day")) for match in found if match["day"]]
    styles = sorted({"Hive-compatible" if "aws-region=" in match[0] else "plain" for match in found})
    accounts, regions = ({match[name] for match in found} for name in ("account", "region"))
    return (
        f"account(s) {some(accounts)}, region(s) {some(regions)}, "
        f"{' and '.join(styles)} folders, newest day {max(days, default='none')}"
    )


def some(names: Iterable[str]) -> str:
    """The first few of some names, sorted, and how many more there are.

    >>> some(["b", "a"])
    'a, b'
    """
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return (", ".join(ordered[:_SHOWN]) or "nothing") + more

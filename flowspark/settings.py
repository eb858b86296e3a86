"""The settings of a run: defaults < TOML file < flags, one list of them for all three."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from flowspark.errors import UsageError, did_you_mean
from flowspark.files import READERS
from flowspark.keys import Selection, select
from flowspark.layouts import parse_layout
from flowspark.lookup import ON_CONFLICT

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_CHOICES = {
    "output_format": ("csv", "parquet"),
    "reader": READERS,
    "on_bad_file": ("fail", "skip"),
    "on_conflict": ON_CONFLICT,
    "log_level": LOG_LEVELS,
}


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; the names are those of the flags, with underscores."""

    input: tuple[str, ...]
    lookup: str
    output: str
    output_format: str = "csv"
    layout: str | None = None
    reader: str = "auto"
    on_bad_file: str = "fail"
    max_reject_ratio: Decimal = Decimal("0.01")
    on_conflict: str = "all"
    interval: str | None = None
    account: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    flow_log_id: tuple[str, ...] = ()
    allow_empty: bool = False
    skip_unchanged: bool = False
    retag: bool = False
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name} is one of {', '.join(choices)}, not '{value}'{did_you_mean(value, choices)}")
        if not 0 <= self.max_reject_ratio <= 1:
            raise UsageError(f"max_reject_ratio is a share from 0 to 1, not {self.max_reject_ratio}")
        if self.layout is not None:
            parse_layout(self.layout)
        _ = self.selection

    @property
    def selection(self) -> Selection:
        """Which files under the inputs are taken.

        Raises:
            UsageError: the interval is none, or a filter is nothing that a key can hold.
        """
        return select(self.interval, self.account, self.region, self.flow_log_id)

    def as_text(self) -> dict[str, Any]:
        """The settings as the summary has them: in types that JSON has."""
        values = dataclasses.asdict(self)
        return {
            name: str(value) if isinstance(value, Decimal) else list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }


NAMES = tuple(field.name for field in dataclasses.fields(Settings))
LISTS = ("input", "account", "region", "flow_log_id")
SWITCHES = ("allow_empty", "skip_unchanged", "retag")


def load_settings(flags: Mapping[str, Any], config: str | None = None) -> Settings:
    """The settings of a run.

    Args:
        flags: what was given on the command line, by name; None where it was not.
        config: a TOML file with the same names.

    Raises:
        UsageError: a name that is none, a value that cannot be, or no input, lookup or output.
    """
    given = _read_config(config) if config else {}
    given.update((name, value) for name, value in flags.items() if value is not None)
    needed = ("lookup", "output") if given.get("retag") else ("input", "lookup", "output")
    missing = [name for name in needed if not given.get(name)]
    if missing:
        flags_needed = ", ".join(f"--{name}" for name in missing)
        raise UsageError(f"{flags_needed} is missing; give it as a flag or in the --config file")
    return Settings(**{"input": ()} | {name: _checked(name, value) for name, value in given.items()})


def _read_config(path: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise UsageError(f"config file {path} cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is no TOML: {error}") from error
    for name in values:
        if name not in NAMES:
            raise UsageError(f"config file {path}: unknown key {name}{did_you_mean(name, NAMES)}; keys: {', '.join(NAMES)}")
    return values


def _checked(name: str, value: Any) -> Any:
    if name in LISTS:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(item, str) and item for item in values):
            raise UsageError(f"{name} is a text, or a list of texts")
        return tuple(values)
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise UsageError(f"{name} is true or false, not {value!r}")
        return value
    if name == "max_reject_ratio":
        try:
            ratio = Decimal(str(value))
        except InvalidOperation:
            ratio = Decimal("NaN")
        if not ratio.is_finite() or isinstance(value, bool):
            raise UsageError(f"max_reject_ratio is a share from 0 to 1, not {value}")
        return ratio
    if not isinstance(value, str):
        raise UsageError(f"{name} is a text, not {value!r}")
    return value.upper() if name == "log_level" else value

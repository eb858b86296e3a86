"""The settings of a run. Flags win over the TOML file, which wins over the defaults; all three have the same names."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from flowspark.errors import UsageError, did_you_mean
from flowspark.files import READERS, platform_uri
from flowspark.keys import Selection, select
from flowspark.layouts import parse_layout
from flowspark.locations import check_location
from flowspark.lookup import ON_CONFLICT

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")
DEFAULT_REJECT_RATIO = Decimal("0.01")
_CHOICES = {
    "output_format": ("csv", "parquet"),
    "reader": READERS,
    "on_bad_file": ("fail", "skip"),
    "on_conflict": ON_CONFLICT,
    "log_level": LOG_LEVELS,
    "log_format": LOG_FORMATS,
}
_WHAT_TO_GIVE = {
    "input": "a log file or a folder",
    "lookup": "the lookup table, a CSV file",
    "output": "the folder for the results",
    "layout": "the field names in order, or the name of a layout such as v2",
    "max_reject_ratio": "a share from 0 to 1",
    "interval": "a UTC day (2026-11-22) or hour (2026-11-22T05), or leave it out to count all files",
    "account": "an account id, or leave it out to take all accounts",
    "region": "a region, or leave it out to take all regions",
    "flow_log_id": "a flow log id, or leave it out to take all flow logs",
    **{name: f"one of {', '.join(choices)}" for name, choices in _CHOICES.items()},
}


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; the names are those of the flags, with underscores.

    This is the only list of the settings: the config file's keys and the summary's `settings` are made from it.
    `max_reject_ratio` is None for a `retag` that gives no limit: the limit of the stored run then applies.
    """

    input: tuple[str, ...]
    lookup: str
    output: str
    output_format: str = "csv"
    layout: str | None = None
    reader: str = "auto"
    on_bad_file: str = "fail"
    max_reject_ratio: Decimal | None = DEFAULT_REJECT_RATIO
    on_conflict: str = "all"
    interval: str | None = None
    account: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    flow_log_id: tuple[str, ...] = ()
    allow_empty: bool = False
    skip_unchanged: bool = False
    retag: bool = False
    replace: bool = False
    shared_filesystem: bool = False
    log_level: str = "INFO"
    log_format: str = "text"

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            for text in value if isinstance(value, tuple) else (value,):
                _check_not_blank(name, text)
                if name in ("input", "lookup", "output"):
                    check_location(name, text)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name} is one of {', '.join(choices)}, not '{value}'{did_you_mean(value, choices)}")
        if self.max_reject_ratio is not None and not 0 <= self.max_reject_ratio <= 1:
            raise UsageError(f"max_reject_ratio is a share from 0 to 1, not {self.max_reject_ratio}")
        if self.layout is not None:
            parse_layout(self.layout)
        _ = self.selection

    @property
    def reject_limit(self) -> Decimal:
        """The share of rejected lines above which the run fails."""
        return DEFAULT_REJECT_RATIO if self.max_reject_ratio is None else self.max_reject_ratio

    @property
    def selection(self) -> Selection:
        """Which files under the inputs are taken.

        Raises:
            UsageError: the interval is neither a day nor an hour, or a filter has a value that no key can hold.
        """
        return select(self.interval, self.account, self.region, self.flow_log_id)

    def as_text(self) -> dict[str, Any]:
        """The settings in the form of the summary, which has only the types of JSON."""
        values = dataclasses.asdict(self)
        return {
            name: str(value) if isinstance(value, Decimal) else list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }


NAMES = tuple(field.name for field in dataclasses.fields(Settings))
LISTS = tuple(field.name for field in dataclasses.fields(Settings) if field.type == "tuple[str, ...]")
SWITCHES = tuple(field.name for field in dataclasses.fields(Settings) if field.type == "bool")
SETTINGS_TYPE = "struct<{}>".format(
    ", ".join(
        f"{name}: {'array<string>' if name in LISTS else 'boolean' if name in SWITCHES else 'string'}" for name in NAMES
    )
)
"""What `Settings.as_text` returns, as a Spark type."""

_NOT_WITH_RETAG = (
    "input", "account", "region", "flow_log_id", "layout", "reader", "on_bad_file",
    "allow_empty", "skip_unchanged", "replace",
)  # fmt: skip


def load_settings(flags: Mapping[str, Any], config: str | None = None) -> Settings:
    """The settings of a run.

    Args:
        flags: what was given on the command line, by name; None where it was not.
        config: a TOML file with the same names.

    Raises:
        UsageError: an unknown name, a value that is not allowed, a flag that does not apply, or no input, lookup or output.
    """
    on_command_line = {name: value for name, value in flags.items() if value is not None}
    values = (_read_config(config) if config else {}) | on_command_line
    given = {name: _checked(name, value) for name, value in values.items()}
    needed: tuple[str, ...] = ("input", "lookup", "output")
    if given.get("retag"):
        needed = ("lookup", "output")
        given.setdefault("max_reject_ratio", None)
        useless = [_flag(name) for name in _NOT_WITH_RETAG if name in on_command_line]
        if useless:
            raise UsageError(
                f"{', '.join(useless)} cannot be used with --retag, which counts the stored scan and reads no log: "
                "leave it out, or run the interval from its logs without --retag"
            )
    missing = [_flag(name) for name in needed if not given.get(name)]
    if missing:
        raise UsageError(f"{', '.join(missing)} is missing; give it as a flag or in the --config file")
    return Settings(**{"input": ()} | given)


def settings_from_text(values: Mapping[str, Any]) -> Settings:
    """The settings in a summary, the reverse of `Settings.as_text`. A setting that the summary lacks has its default.

    Raises:
        UsageError: a value that is not allowed.
    """
    return Settings(**{name: _checked(name, values[name]) for name in NAMES if values.get(name) is not None})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read_config(path: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise UsageError(f"config file {path} cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is not TOML: {error}") from error
    for name in values:
        if name not in NAMES:
            raise UsageError(f"config file {path}: unknown key {name}{did_you_mean(name, NAMES)}; keys: {', '.join(NAMES)}")
    return values


def _checked(name: str, value: Any) -> Any:
    """A value in the type that `Settings` has for it; a location as Spark takes it on this platform.

    Raises:
        UsageError: the value is blank, or of another type.
    """
    _check_not_blank(name, value)
    if name in LISTS:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(item, str) for item in values):
            raise UsageError(f"{name} is a text, or a list of texts")
        return tuple(map(platform_uri, values)) if name == "input" else tuple(values)
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
    if name in ("lookup", "output"):
        return platform_uri(value)
    return value.upper() if name == "log_level" else value


def _check_not_blank(name: str, value: Any) -> None:
    if isinstance(value, str) and not value.strip():
        raise UsageError(f"{name} is empty, as it is when a variable is not set; give {_WHAT_TO_GIVE[name]}")

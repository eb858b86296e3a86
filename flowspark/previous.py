"""The last complete run of an interval: what it was made of, and what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flowspark
from flowspark.files import LogFile
from flowspark.settings import Settings, load_settings

_OF_THE_SCAN = (
    "input", "interval", "account", "region", "flow_log_id", "layout", "reader", "on_bad_file", "max_reject_ratio"
)  # fmt: skip
_OF_THE_RESULT = (*_OF_THE_SCAN, "output_format", "on_conflict")


@dataclass(frozen=True)
class Previous:
    """The last complete run of an interval.

    Attributes:
        summary: as it was published.
        files: the files table, the interval's manifest: path, size and time of change of each file.
        errors: what was wrong with those of them that were left out, by path.
    """

    summary: dict[str, Any]
    files: Sequence[LogFile]
    errors: Mapping[str, str]

    def late_files(self, files: Sequence[LogFile]) -> list[str]:
        """The files that are new since, or have changed."""
        known = set(self.files)
        return [file.path for file in files if file not in known]

    def is_current(self, files: Sequence[LogFile], lookup_sha256: str, settings: Settings) -> bool:
        """Whether a run over these files would publish what is there already."""
        then, now = self.summary["settings"], settings.as_text()
        return (
            self.summary["flowspark"] == flowspark.__version__
            and self.summary["lookup"]["sha256"] == lookup_sha256
            and all((then[name] or None) == (now[name] or None) for name in _OF_THE_RESULT)
            and set(self.files) == set(files)
        )

    def retag_settings(self, settings: Settings) -> Settings:
        """The settings of a run that counts the stored scan again: how it was scanned stays as it was."""
        then = self.summary["settings"]
        return load_settings(settings.as_text() | {name: then[name] for name in _OF_THE_SCAN})

"""The last complete run of an interval: what it was made of, what has changed since, and what a new run may replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import flowspark
from flowspark.errors import InputError, UsageError
from flowspark.files import LogFile, identity, normal
from flowspark.settings import Settings
from flowspark.summary import Summary

_FILTERS = ("account", "region", "flow_log_id")
_OF_THE_SCAN = ("interval", *_FILTERS, "layout", "reader", "on_bad_file")
_OF_THE_RESULT = (*_OF_THE_SCAN, "max_reject_ratio", "output_format", "on_conflict")


def check_same_selection(summary: Summary, settings: Settings) -> None:
    """Checks that a run has the same inputs and filters as the published run that it would replace.

    Raises:
        UsageError: they differ, and `replace` is not set. The message shows both.
    """
    difference = _difference(summary, settings)
    if difference and not settings.replace:
        raise UsageError(
            f"interval {settings.selection.label} stands in {settings.output} for other log files, and this run would "
            f"replace it; give another --output, or --replace to replace it\n{difference}"
        )


def _difference(summary: Summary, settings: Settings) -> str:
    """The inputs and filters of a published run and of a new one, in two lines; empty if they are the same."""
    inputs = tuple(map(normal, settings.input))
    same_inputs = set(map(identity, summary.inputs)) == set(map(identity, inputs))
    if same_inputs and all(set(getattr(summary.settings, name)) == set(getattr(settings, name)) for name in _FILTERS):
        return ""
    return (
        f"  published: {_selection_text(summary.inputs, summary.settings)}\n"
        f"  this run:  {_selection_text(inputs, settings)}"
    )


def _selection_text(inputs: Sequence[str], settings: Settings) -> str:
    named = (("input", inputs), *((name.replace("_", "-"), getattr(settings, name)) for name in _FILTERS))
    return "; ".join(f"{name} {', '.join(values)}" for name, values in named if values)


@dataclass(frozen=True)
class Previous:
    """The last complete run of an interval.

    Attributes:
        summary: as it was published.
        files: the files table, the interval's manifest: path, size and time of change of each file.
        errors: by path, what was wrong with each file that was left out.
    """

    summary: Summary
    files: Sequence[LogFile]
    errors: Mapping[str, str]

    def late_files(self, files: Sequence[LogFile]) -> list[str]:
        """The paths of the files that are new since this run, or have changed."""
        known = set(self.files)
        return [file.path for file in files if file not in known]

    def is_current(self, files: Sequence[LogFile], lookup_sha256: str, settings: Settings) -> bool:
        """Whether a run over these files would publish what is already there.

        A run that left files out is never current: what was wrong with them may have passed.
        """
        then, content = self.summary.settings, self.summary.content
        return (
            content["flowspark"] == flowspark.__version__
            and content["lookup"]["sha256"] == lookup_sha256
            and all(getattr(then, name) == getattr(settings, name) for name in _OF_THE_RESULT)
            and not self.errors
            and set(self.files) == set(files)
        )

    def why_left_out(self, path: str) -> str:
        """What was wrong with a file that the stored scan does not have.

        Raises:
            InputError: nothing was wrong with it: the scan has lost a part since it was stored.
        """
        if path not in self.errors:
            raise InputError(
                f"the stored scan {self.summary.content['scan']} has lost a part: {path} was read, and is not in it; run "
                "the interval again, from its logs, without --retag"
            )
        return self.errors[path]

    def retag_settings(self, settings: Settings) -> Settings:
        """The settings of a run that counts the stored scan again: how the logs were read stays as it was.

        Raises:
            UsageError: the config file asks for other inputs, filters or another layout than the scan was made with.
        """
        then = self.summary.settings
        kept = {name: getattr(then, name) for name in _OF_THE_SCAN} | {"input": self.summary.inputs}
        asked = {name: getattr(settings, name) or kept[name] for name in ("input", "layout", *_FILTERS)}
        difference = _difference(self.summary, replace(settings, **asked))
        if difference:
            raise UsageError(
                "the stored scan was made of other log files than the config file asks for; leave its input and filters "
                f"out, or run the interval from its logs, without --retag\n{difference}"
            )
        if asked["layout"] != then.layout:
            raise UsageError(
                f"the stored scan was made with layout {then.layout or 'none'}, and the config file has "
                f"'{settings.layout}'; run the interval from its logs, without --retag"
            )
        limit = then.max_reject_ratio if settings.max_reject_ratio is None else settings.max_reject_ratio
        return replace(settings, **kept, max_reject_ratio=limit)

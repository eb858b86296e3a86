"""What a person reads when an input is not there, has no file for a run, or was not searched to its end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flowspark.errors import InputError
from flowspark.files import is_local
from flowspark.keys import Selection, some

MOST_ENTRIES = 1_000  # of what was not searched, in a summary
_SHOWN = 5


def missing_hint(uri: str) -> str:
    """A hint for the message that a path or URI does not exist: what may be wrong with it."""
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


def nothing_found(uri: str, selection: Selection, there: str | None, not_searched: Sequence[str] = ()) -> InputError:
    """The error for an input that has no file for a run: what was looked for, and what is there instead."""
    if not selection:
        return InputError(
            f"no log file under input {uri}: nothing is there, or only names that begin with '_' or '.', which are "
            "skipped; give another --input, or --allow-empty if there may be none"
        )
    seen = f"There: {there}. " if there else ""
    if not_searched:
        seen += f"Not searched: {some(not_searched)}. "
    return InputError(
        f"no log file under input {uri} for {selection}. {seen}Give another --input, interval or filter, or --allow-empty "
        "if there may be none"
    )


def shortened(names: Iterable[str]) -> tuple[str, ...]:
    """Some names as the summary has them: sorted, the first 1,000, and then how many more there are."""
    entries = sorted(names)
    more = len(entries) - MOST_ENTRIES
    return (*entries[:MOST_ENTRIES], f"… and {more:,} more") if more > 0 else tuple(entries)


def not_searched_warning(not_searched: Sequence[str]) -> str:
    """The sentence for a person about what was not searched."""
    first = ", ".join(not_searched[:_SHOWN])
    return (
        f"files of the run may be missing: folders that were not searched, or files whose names do not tell what the run "
        f"asks for; the first: {first}; give those that matter as an --input of their own"
    )

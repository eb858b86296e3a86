"""Warns of files that look by their names like copies of others: both are counted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from flowspark.files import LogFile

log = logging.getLogger(__name__)

_SHOWN = 3
# how desktops, browsers and download tools name a copy; AWS's own names never look like that
_MARK = re.compile(
    r"^Copy (?:\(\d+\) )?of "
    r"|(?: - Copy(?: \(\d+\))?| copy(?: \d+)?| \((?:another |\d+(?:st|nd|rd|th) )?copy\)| ?\(\d+\))(?=\.|$)"
    r"|(?<=\.gz)\.\d+$"  # wget's second download; `x.log.1`, in contrast, is an older log after a rotation
)


def warn_of_copies(files: Mapping[str, LogFile]) -> None:
    """Warns of files that look like copies of others in their folders; the first pairs are named.

    Args:
        files: the files of a run by their identity (files.py).
    """
    pairs = 0
    named = []
    for place, file in files.items():
        original = next((files[name] for name in _originals(place) if name in files), None)
        if original:
            pairs += 1
            if pairs <= _SHOWN:
                named.append(f"{file.path} beside {original.path.rsplit('/', 1)[-1]}")
    if pairs:
        more = [f"… and {pairs - _SHOWN:,} more"] if pairs > _SHOWN else []
        log.warning(
            "%s file(s) look like copies of others, and both are counted: %s; remove those that should not count",
            f"{pairs:,}",
            "; ".join(named + more),
        )


def _originals(place: str) -> Iterator[str]:
    """The names that a file's original would have, in the same folder.

    >>> list(_originals("/logs/a (1).log.gz"))
    ['/logs/a.log.gz', '/logs/a.log.gz.gz', '/logs/a.log']
    """
    folder, slash, name = place.rpartition("/")
    plain = _MARK.sub("", name)
    if plain != name:
        yield f"{folder}{slash}{plain}"
        yield f"{folder}{slash}{plain}.gz"
    if plain.endswith(".gz"):
        yield f"{folder}{slash}{plain.removesuffix('.gz')}"

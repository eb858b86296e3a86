"""Checks the books before anything is published, and makes the errors for runs that fail the checks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from flowspark.books import KINDS, Books
from flowspark.decode.split import REJECT_REASONS, SKIPPED
from flowspark.errors import CheckError, InputError, printable

_SHOWN = 10
_BAD_FILES_SHOWN = 100  # more than a person reads


def check_files(books: Books, on_bad_file: str) -> None:
    """Checks that all files were read to their end, or may be left out.

    Raises:
        InputError: there are bad files under `fail`, or every file is bad, or some pieces of a bad file were read. The
            first 100 bad files are named.
    """
    if not books.bad_files:
        return
    bad = books.bad_files
    if on_bad_file == "fail":
        raise InputError(
            f"{len(bad):,} of {books.listed:,} file(s) cannot be used; mend or remove them, or leave them out whole with "
            f"--on-bad-file skip:\n  {_first_of(bad)}"
        )
    torn = {path: bad[path] for path, file in books.cut.items() if file["status"] == SKIPPED and file["lines"]}
    if torn:
        raise InputError(
            f"{len(torn):,} large file(s) could be read in part only, and never half a file is counted; run again:\n  "
            + _first_of(torn)
        )
    if len(bad) == books.listed:
        raise InputError(
            f"not one of the {books.listed:,} file(s) can be used; check --input and --layout:\n  {_first_of(bad)}"
        )


def _first_of(bad: Mapping[str, str]) -> str:
    """The first 100 bad files, one on each line, and how to find the others."""
    lines = [printable(f"{path}: {error}") for path, error in islice(bad.items(), _BAD_FILES_SHOWN)]
    if len(bad) > _BAD_FILES_SHOWN:
        lines.append(
            f"… and {len(bad) - _BAD_FILES_SHOWN:,} more; to see them, run with a part of the input (one --input, "
            "--account, --region or hour at a time), or with --on-bad-file skip, which lists all in the files table"
        )
    return "\n  ".join(lines)


def check_books(books: Books) -> None:
    """Checks that the books balance (rule 11).

    Raises:
        CheckError: a line or a file is not accounted for.
    """
    totals = books.totals
    explained = sum(totals[name] for name in (*KINDS[1:], *REJECT_REASONS))
    faults = [printable(f"{path}: its lines are not all explained, or not stored") for path in books.unbalanced[:_SHOWN]]
    if totals["lines"] != explained:
        faults.append(f"{totals['lines']:,} lines were read and {explained:,} are explained")
    if totals["flows"] != books.tallied:
        faults.append(f"{totals['flows']:,} flows were read and {books.tallied:,} were counted by port and protocol")
    if books.stored_rejects != books.announced_rejects:
        faults.append(
            f"{books.announced_rejects:,} rejected lines were to be stored and {books.stored_rejects:,} are stored"
        )
    if books.files + len(books.bad_files) != books.listed:
        faults.append(
            f"{books.listed:,} files were listed and {books.files + len(books.bad_files):,} came back from the scan"
        )
    if faults:
        raise CheckError(
            "the books do not balance, so nothing was published; run again, and report it if it stays:\n  "
            + "\n  ".join(faults[:_SHOWN])
        )


def rejects_error(books: Books, limit: Decimal, examples: list[dict[str, Any]]) -> CheckError:
    """The error for a run with too many rejected lines: how many there are for each reason, and some of them."""
    reasons = ", ".join(f"{books.totals[name]:,} {name}" for name in REJECT_REASONS if books.totals[name])
    shown = (printable(f"{e['file']}, line {e['line']}: {e['reason']}: {e['text'][:200]}") for e in examples)
    return CheckError(
        f"{books.rejected:,} of {books.records:,} record lines were rejected ({reasons}), more than max_reject_ratio "
        f"{limit} allows, so nothing was published; look at the lines, or raise --max-reject-ratio:\n  "
        + "\n  ".join(shown)
    )

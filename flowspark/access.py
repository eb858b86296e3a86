"""Judges files that the storage did not hand to a worker: whether the file is at fault, or the worker's access.

A worker without credentials, with an expired token or without a way to the storage cannot open any file, good or bad.
`--on-bad-file skip` must not leave out good files for that. So the driver tries to open the files too. A file that it can
open is not a bad file. Where it cannot open a file either, it opens one that was read from the same bucket: if even that
fails, nothing is known of the first file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from flowspark.binary import READABLE_NOW
from flowspark.books import Books
from flowspark.errors import BadFile, FlowsparkError, InputError, Unreadable, one_line, printable
from flowspark.files import S3_URI, is_local
from flowspark.search import at_once
from flowspark.storage import storage_of

_AT_FIRST = 16  # files: if they decide it, no others are tried
_TRIED = 10_000  # of a bucket's files: each takes the driver two requests
_SHOWN = 5

_OWN_ACCESS = (
    "executors need access of their own: the role of their machine or pod, or credentials in their environment "
    "(spark.executorEnv.AWS_ACCESS_KEY_ID, …AWS_SECRET_ACCESS_KEY, …AWS_SESSION_TOKEN; also …AWS_ENDPOINT_URL and "
    "…AWS_REGION where the driver has them), and a way through the network. Or give --reader spark, which takes Spark's "
    "own credentials"
)
_SAME_RIGHTS = "all machines must see the same files, and Spark's user must be allowed to read them on each"


def check_access(books: Books, listed: Sequence[str]) -> None:
    """Checks that the files that the workers were refused are bad files, and that the workers' access is not at fault.

    Args:
        books: what a scan has found.
        listed: the paths of all files that were to be read.

    Raises:
        FlowsparkError: the driver, or Spark, can open such a file; or the driver can no longer open one that was read.
        InputError: neither workers nor the driver can open any object of a bucket.
    """
    readable = [path for path, error in books.bad_files.items() if error == READABLE_NOW]
    if readable:
        raise FlowsparkError(
            f"Spark could not read {len(books.vanished):,} of {books.listed:,} file(s) in two attempts, and can read some "
            "of them now: these are good files, and nothing is published. The usual reasons are executors without access "
            "to the storage (the role of their machine or pod, the network), and a storage that had trouble; mend that and "
            f"run again:\n  {_first_of(readable, books)}"
        )
    by_bucket: dict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(books.refused):  # pieces of one file
        by_bucket[_bucket(path)].append(path)
    for bucket, paths in by_bucket.items():
        for tried in (paths[:_AT_FIRST], paths[_AT_FIRST :: -(-len(paths) // _TRIED)]):
            faults = at_once(_fault, tried)
            good = [path for path, fault in zip(tried, faults, strict=True) if fault is None]
            if good:
                remedy = _OWN_ACCESS if bucket else _SAME_RIGHTS
                raise FlowsparkError(
                    f"workers could not open {len(paths):,} of {books.listed:,} file(s), and the driver can open "
                    f"{len(good):,} of {len(tried):,} that it has tried: these are good files, and nothing is published. "
                    f"{remedy[0].upper()}{remedy[1:]}. If the executors have this access, run again. Errors of the "
                    f"workers:\n  {_first_of(good, books)}"
                )
            if bucket and any(isinstance(fault, Unreadable) for fault in faults):
                _check_bucket(bucket, tried, books, listed)


def _check_bucket(bucket: str, refused: Sequence[str], books: Books, listed: Sequence[str]) -> None:
    """Checks that the driver can open other objects of a bucket than those that it and the workers were refused."""
    known = next((path for path in listed if path not in books.bad_files and _bucket(path) == bucket), None)
    if known is None:
        raise InputError(
            f"no object of bucket {bucket} can be opened, neither by the workers nor by the driver; check what the "
            f"credentials may do (s3:GetObject), and whether they have expired:\n  {_first_of(refused, books)}"
        )
    fault = _fault(known)
    if fault:
        raise FlowsparkError(
            f"{len(refused):,} file(s) were refused to workers, and nobody can tell whether they are bad files: the driver "
            f"cannot even open an object of the same bucket that was read ({known}: {fault}). Check whether credentials "
            f"have expired, and what the driver's may do (s3:GetObject), and run again:\n  {_first_of(refused, books)}"
        )


def _bucket(path: str) -> str:
    """The bucket of an object; empty for a local path."""
    match = None if is_local(path) else S3_URI.fullmatch(path)
    return match["bucket"] if match else ""


def _fault(path: str) -> BadFile | None:
    """Why the driver cannot open a file and read its first byte; None if it can. `Unreadable`: it cannot even open it."""
    from pyarrow import ArrowException

    try:
        file = storage_of(path).open(path, 0, 1)
    except BadFile as error:
        return error
    try:
        with file:
            file.read(1)
    except (BadFile, OSError, ArrowException) as error:  # an archived object, for example: it is there all the same
        return BadFile(one_line(error))
    return None


def _first_of(paths: Iterable[str], books: Books) -> str:
    return "\n  ".join(printable(f"{path}: {books.bad_files[path]}") for path in islice(paths, _SHOWN))

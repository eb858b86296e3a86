"""The books of a run: every line of every file is counted or explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from flowspark.decode.split import READ, REJECT_LIMIT, REJECT_REASONS, SKIPPED
from flowspark.fields import FIELDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KINDS = ("lines", "header", "blank", "flows", "nodata", "skipdata")
_COUNTED = (*KINDS, *REJECT_REASONS)
_EXPLAINED = 10  # files without an audit; it takes a Spark job for each to find out why
_BAD_FILES_NAMED = 1000  # in the summary, which is one line of JSON; the files table has all


@dataclass
class Books:
    """What a scan has found in all files together.

    Attributes:
        listed: how many files were to be read.
        files: how many were read whole.
        totals: lines by kind, and rejected lines by reason.
        tallied: flows in the tallies.
        stored_rejects: rejected lines that are stored, including those of bad files.
        announced_rejects: rejected lines that should be stored, according to the audits of all files.
        published_rejects: rows of the rejects table, which has the first rejected lines of each file that was read.
        flows_without_ports: flows whose dstport or protocol is missing.
        layouts: for each layout, how many of the files that were read have it.
        bad_files: path and error of each file that could not be read to its end.
        refused: the bad files that the storage did not hand to the workers.
        vanished: the files without an audit: Spark's reader could not hand them over.
        unbalanced: files whose own lines do not add up, or of which a piece is missing.
        decoder: `python` if a file was decoded in plain Python, else `compiled`; None if the scan does not tell.
        cut: by path, the audit of each file that was read in pieces: the sum of its pieces.
    """

    listed: int = 0
    files: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    tallied: int = 0
    stored_rejects: int = 0
    announced_rejects: int = 0
    published_rejects: int = 0
    flows_without_ports: int = 0
    layouts: Counter[str] = field(default_factory=Counter)
    bad_files: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    decoder: str | None = None
    cut: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Rejected lines, whatever the reason."""
        return sum(self.totals[reason] for reason in REJECT_REASONS)

    @property
    def records(self) -> int:
        """Record lines: flows, nodata, skipdata and rejected."""
        return self.totals["flows"] + self.totals["nodata"] + self.totals["skipdata"] + self.rejected

    def too_many_rejects(self, limit: Decimal | float) -> bool:
        """Whether rejected lines are more than this share of the record lines (rule 9), compared exactly."""
        exact = Decimal(limit)
        with localcontext(prec=len(exact.as_tuple().digits) + len(str(self.records))):
            return self.rejected > exact * self.records

    @property
    def unknown_fields(self) -> list[str]:
        """The fields, with hyphens, that the registry does not know."""
        return sorted({name for layout in self.layouts for name in layout.split() if name not in FIELDS})

    @property
    def first_bad_files(self) -> list[dict[str, str]]:
        """Path and error of the first 1,000 bad files, as the summary has them."""
        return [{"path": path, "error": error} for path, error in islice(self.bad_files.items(), _BAD_FILES_NAMED)]

    def summary(self) -> dict[str, int]:
        """The books as the summary has them."""
        return {
            "files": self.files,
            "files_skipped": len(self.bad_files),
            **{kind: self.totals[kind] for kind in KINDS},
            "rejected": self.rejected,
            "rejects_stored": self.published_rejects,
        }


def read_books(scan: DataFrame, listed: Sequence[str], why_unread: Callable[[str], str] | None = None) -> Books:
    """The books of a stored scan of the listed files, in one Spark job. A second job runs only when something is wrong.

    Args:
        scan: the stored scan.
        listed: the paths of all files that were to be read.
        why_unread: tells what is wrong with a file without an audit. It is called for ten of them at most. Without this
            function, such files are only in `vanished`, and not yet in `bad_files`: they have to be read again.
    """
    from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

    books = Books(len(listed))
    without_ports = F.filter("tally", lambda count: count["dstport"].isNull() | count["protocol"].isNull())
    # No text is aggregated, because Spark would then sort all rows of the scan, with the lists in them.
    rows = (
        scan.groupBy("file.status", "file.layouts", "file.decoder", is_piece(F.col("file")).alias("piece"))
        .agg(
            *(F.sum(f"file.{name}").alias(name) for name in (*_COUNTED, "rejects_stored")),
            F.count(F.lit(1)).alias("rows"),
            F.count(F.when(_unbalanced(F.col("file")), 1)).alias("unbalanced"),
            F.sum(_total(F.col("tally"))).alias("tallied"),
            F.sum(_total(without_ports)).alias("without_ports"),
            F.sum(F.when(F.col("rejects.line").isNotNull(), F.size("rejects.line"))).alias("stored_rejects"),
        )
        .collect()
    )
    for row in rows:
        if row["status"] is None:
            books.tallied, books.flows_without_ports = row["tallied"] or 0, row["without_ports"] or 0
            books.stored_rejects = row["stored_rejects"] or 0
            continue
        books.announced_rejects += row["rejects_stored"]
        books.decoder = max(filter(None, (books.decoder, row["decoder"])), default=None)  # the alphabet has `python` last
        if row["status"] == READ and not row["piece"]:
            books.files += row["rows"]
            books.published_rejects += row["rejects_stored"]
            books.totals.update({name: row[name] for name in _COUNTED})
            books.layouts.update(dict.fromkeys(row["layouts"], row["rows"]))
    audits = scan.where(F.col("file").isNotNull())
    if any(row["piece"] for row in rows):
        _add_up_pieces(books, audits.where(is_piece(F.col("file"))).select("file.*"))
    seen = len(books.cut) + sum(row["rows"] for row in rows if row["status"] is not None and not row["piece"])
    if seen < len(listed) or any(row["status"] == SKIPPED or row["unbalanced"] for row in rows):
        _read_faults(books, audits.select("file.*", _unbalanced(F.col("file")).alias("unbalanced")), listed)
        if why_unread:
            _explain_vanished(books, why_unread)
        books.bad_files = dict(sorted(books.bad_files.items()))
    return books


def is_piece(file: Column) -> Column:
    """Whether an audit of a scan is that of a piece, and not of a whole file."""
    return (file["start"] > 0) | (file["stop"] < file["size"])


def _unbalanced(file: Column) -> Column:
    """Whether the lines of an audit do not add up, or the number of its stored rejected lines is wrong."""
    from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

    explained = sum((file[name] for name in _COUNTED[2:]), file["header"])
    rejected = sum((file[name] for name in REJECT_REASONS[1:]), file[REJECT_REASONS[0]])
    too_few = (file["status"] == READ) & (file["rejects_stored"] != F.least(rejected, F.lit(REJECT_LIMIT)))
    unbalanced: Column = (file["lines"] != explained) | too_few
    return unbalanced


def _add_up_pieces(books: Books, audits: DataFrame) -> None:
    """Enters the files that were read in pieces: one audit for each file, as if it had been read whole."""
    for row in audits.orderBy("path", "start").toLocalIterator():
        nothing = {"stop": 0, "layouts": []} | dict.fromkeys((*_COUNTED, "rejects_stored"), 0)
        file = books.cut.setdefault(row["path"], row.asDict() | nothing)
        file["stop"] = row["stop"] if file["stop"] == row["start"] else -1
        file["layouts"] = list(dict.fromkeys([*file["layouts"], *row["layouts"]]))
        file.update({name: file[name] + row[name] for name in (*_COUNTED, "rejects_stored")})
        if file["status"] == READ:
            file["status"], file["error"] = row["status"], row["error"]
    for path, file in books.cut.items():
        if file["status"] == READ:
            books.files += 1
            books.published_rejects += min(file["rejects_stored"], REJECT_LIMIT)
            books.totals.update({name: file[name] for name in _COUNTED})
            books.layouts.update(file["layouts"])
            if file["stop"] != file["size"]:
                books.unbalanced.append(path)


def _total(tally: Column) -> Column:
    from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

    return F.aggregate(tally["flows"], F.lit(0).cast("long"), lambda total, flows: total + flows)


def _read_faults(books: Books, audits: DataFrame, listed: Sequence[str]) -> None:
    """Enters the bad files, the files that do not balance, and the files without an audit."""
    seen = set()
    for row in audits.orderBy("path", "start").toLocalIterator():
        seen.add(row["path"])
        if row["status"] == SKIPPED:
            books.bad_files.setdefault(row["path"], row["error"])
            if row["refused"]:
                books.refused.append(row["path"])
        elif row["unbalanced"]:
            books.unbalanced.append(row["path"])
    books.vanished = [path for path in listed if path not in seen]


def _explain_vanished(books: Books, why_unread: Callable[[str], str]) -> None:
    """Enters the files without an audit as bad files. `why_unread` gives the reason for ten of them, spread evenly."""
    books.bad_files |= dict.fromkeys(books.vanished, "could not be read by Spark; run again")
    every = -(-len(books.vanished) // _EXPLAINED) or 1
    books.bad_files |= {path: why_unread(path) for path in books.vanished[::every]}

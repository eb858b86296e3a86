"""The books of a run: every line of every file counted or explained, checked before anything is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from flowspark.decode.split import READ, REJECT_REASONS, SKIPPED
from flowspark.errors import CheckError, InputError
from flowspark.fields import FIELDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KINDS = ("lines", "header", "blank", "flows", "nodata", "skipdata")
_SHOWN = 10


@dataclass
class Books:
    """What a scan has found, in all.

    Attributes:
        listed: how many files were to be read.
        files: how many were read whole.
        totals: lines by kind, and rejected lines by reason.
        tallied: flows in the tallies.
        stored_rejects: rejected lines that are stored, those of bad files among them.
        flows_without_ports: flows whose dstport or protocol is missing.
        layouts: how many files that were read have each layout.
        bad_files: path and error of each file that could not be read to its end.
        vanished: the bad files among them that left no audit: Spark's reader could not hand them over.
        unbalanced: files whose own lines do not add up, or of which a piece is missing.
        cut: the audit of each file that was read in pieces, added up, by path.
    """

    listed: int = 0
    files: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    tallied: int = 0
    stored_rejects: int = 0
    flows_without_ports: int = 0
    layouts: Counter[str] = field(default_factory=Counter)
    bad_files: dict[str, str] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
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

    def summary(self) -> dict[str, int]:
        """The books as the summary has them."""
        return {"files": self.files, **{kind: self.totals[kind] for kind in KINDS}, "rejected": self.rejected}


def read_books(scan: DataFrame, listed: Sequence[str], why_unread: Callable[[str], str]) -> Books:
    """The books of a stored scan of the listed files, in one Spark job; what is wrong, if anything, in a second.

    Args:
        scan: the stored scan.
        listed: the paths of all files that were to be read.
        why_unread: tells what is wrong with a file that has left no audit; asked for the first few of them.
    """
    from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

    books = Books(len(listed))
    counted = [*KINDS, *REJECT_REASONS]
    explained = sum((F.col(f"file.{name}") for name in counted[2:]), F.col("file.header"))
    unbalanced = F.col("file.lines") != explained
    without_ports = F.filter("tally", lambda count: count["dstport"].isNull() | count["protocol"].isNull())
    rows = (
        scan.groupBy("file.status", "file.layouts", is_piece(F.col("file")).alias("piece"))
        .agg(
            *(F.sum(f"file.{name}").alias(name) for name in counted),
            F.count(F.lit(1)).alias("rows"),
            F.count(F.when(unbalanced, 1)).alias("unbalanced"),
            F.sum(_total(F.col("tally"))).alias("tallied"),
            F.sum(_total(without_ports)).alias("without_ports"),
            F.sum(F.when(F.col("rejects").isNotNull(), F.size("rejects.line"))).alias("stored_rejects"),
        )
        .collect()
    )
    for row in rows:
        if row["status"] is None:
            books.tallied, books.flows_without_ports = row["tallied"] or 0, row["without_ports"] or 0
            books.stored_rejects = row["stored_rejects"] or 0
        elif row["status"] == READ and not row["piece"]:
            books.files += row["rows"]
            books.totals.update({name: row[name] for name in counted})
            books.layouts.update(dict.fromkeys(row["layouts"], row["rows"]))
    audits = scan.where(F.col("file").isNotNull())
    if any(row["piece"] for row in rows):
        _add_up_pieces(books, audits.where(is_piece(F.col("file"))).select("file.*"), counted)
    seen = len(books.cut) + sum(row["rows"] for row in rows if row["status"] is not None and not row["piece"])
    if seen < len(listed) or any(row["status"] == SKIPPED or row["unbalanced"] for row in rows):
        _read_faults(books, audits.select("file.*"), listed, why_unread)
    return books


def is_piece(file: Column) -> Column:
    """Whether a scan's audit is of a piece of a file only."""
    return (file["start"] > 0) | (file["stop"] < file["size"])


def _add_up_pieces(books: Books, audits: DataFrame, counted: Sequence[str]) -> None:
    """The files that were read in pieces: of each one audit, as if it had been read whole."""
    for row in audits.orderBy("path", "start").toLocalIterator():
        nothing = {"stop": 0, "layouts": []} | dict.fromkeys(counted, 0)
        file = books.cut.setdefault(row["path"], row.asDict() | nothing)
        file["stop"] = row["stop"] if file["stop"] == row["start"] else -1
        file["layouts"] = list(dict.fromkeys([*file["layouts"], *row["layouts"]]))
        file.update({name: file[name] + row[name] for name in counted})
        if file["status"] == READ:
            file["status"], file["error"] = row["status"], row["error"]
    for path, file in books.cut.items():
        if file["status"] == READ:
            books.files += 1
            books.totals.update({name: file[name] for name in counted})
            books.layouts.update(file["layouts"])
            if file["stop"] != file["size"]:
                books.unbalanced.append(path)


def _total(tally: Column) -> Column:
    from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

    return F.aggregate(tally["flows"], F.lit(0).cast("long"), lambda total, flows: total + flows)


def _read_faults(books: Books, audits: DataFrame, listed: Sequence[str], why_unread: Callable[[str], str]) -> None:
    """Bad files, files that do not balance, and those that Spark's reader could not hand over: they left no audit."""
    seen = set()
    for row in audits.orderBy("path", "start").toLocalIterator():
        seen.add(row["path"])
        if row["status"] == SKIPPED:
            books.bad_files.setdefault(row["path"], row["error"])
        elif row["lines"] != sum(row[name] for name in (*KINDS[1:], *REJECT_REASONS)):
            books.unbalanced.append(row["path"])
    books.vanished = [path for path in listed if path not in seen]
    books.bad_files |= {path: why_unread(path) for path in books.vanished[:_SHOWN]}
    books.bad_files |= dict.fromkeys(books.vanished[_SHOWN:], "could not be read by Spark; run again")
    books.bad_files = dict(sorted(books.bad_files.items()))


def check_files(books: Books, on_bad_file: str) -> None:
    """That all files were read to their end, or may be left out.

    Raises:
        InputError: bad files under `fail`, every file is bad, or a bad file of which some pieces were read; each is named.
    """
    if not books.bad_files:
        return
    named = [f"{path}: {error}" for path, error in books.bad_files.items()]
    shown = "\n  ".join(named)
    if on_bad_file == "fail":
        raise InputError(
            f"{len(named)} of {books.listed} file(s) cannot be used; mend or remove them, or leave them out whole with "
            f"--on-bad-file skip:\n  {shown}"
        )
    torn = [
        f"{path}: {books.bad_files[path]}"
        for path, file in books.cut.items()
        if file["status"] == SKIPPED and file["lines"]
    ]
    if torn:
        raise InputError(
            f"{len(torn)} large file(s) could be read in part only, and never half a file is counted; run again:\n  "
            + "\n  ".join(torn)
        )
    if len(named) == books.listed:
        raise InputError(f"not one of the {books.listed} file(s) can be used; check --input and --layout:\n  {shown}")


def check_books(books: Books) -> None:
    """That the books balance (rule 11).

    Raises:
        CheckError: a line or a file is not accounted for.
    """
    totals = books.totals
    explained = sum(totals[name] for name in [*KINDS[1:], *REJECT_REASONS])
    faults = [f"{path}: its lines are not all explained" for path in books.unbalanced]
    if totals["lines"] != explained:
        faults.append(f"{totals['lines']:,} lines were read and {explained:,} are explained")
    if totals["flows"] != books.tallied:
        faults.append(f"{totals['flows']:,} flows were read and {books.tallied:,} were counted by port and protocol")
    if books.stored_rejects < books.rejected or (books.stored_rejects > books.rejected and not books.bad_files):
        faults.append(f"{books.rejected:,} lines were rejected and {books.stored_rejects:,} are stored")
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
    """The error of a run with too many rejected lines: how many for which reason, and the first of them."""
    reasons = ", ".join(f"{books.totals[name]:,} {name}" for name in REJECT_REASONS if books.totals[name])
    shown = (f"{e['file']}, line {e['line']}: {e['reason']}: {e['text'][:200]}" for e in examples)
    return CheckError(
        f"{books.rejected:,} of {books.records:,} record lines were rejected ({reasons}), more than max_reject_ratio "
        f"{limit} allows, so nothing was published; look at the lines, or raise --max-reject-ratio:\n  "
        + "\n  ".join(shown)
    )

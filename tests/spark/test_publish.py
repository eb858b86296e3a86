"""What is published, when, and what is left as it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from flowspark import pipeline
from flowspark.books import KINDS, read_books
from flowspark.checks import check_books, check_files
from flowspark.decode.split import REJECT_REASONS, SCAN_SCHEMA
from flowspark.errors import CheckError, FlowsparkError, InputError, UsageError
from flowspark.files import LogFile
from flowspark.find import LogFiles
from flowspark.lookup import parse_lookup
from flowspark.lookup_table import lookup_frame
from flowspark.outputs import Output
from flowspark.scan import scan_files
from flowspark.settings import Settings
from flowspark.stored_scan import load_scan, store_scan
from flowspark.tables import files_of
from flowspark.tagging import tag_flows
from tests.logs import NODATA, V2, flow, log, write
from tests.spark.job import run_job


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "_scan" not in path.parts}


def test_a_run_replaces_its_own_interval_and_nothing_else(spark, tmp_path):
    other = write(tmp_path / "out" / "tag_counts" / "interval=2026-11-21" / "part-0.csv", b"tag,count\nweb,7\n")
    run_job(spark, tmp_path, {"a.log": log(flow(443))})
    out = run_job(spark, tmp_path, {"b.log": log(flow(22))})
    assert out.tags == [("ssh", 1), ("web", 1)]
    assert other.read_bytes() == b"tag,count\nweb,7\n"
    assert out.summary["scan"].endswith(f"run={out.summary['run_id']}")
    scans = tmp_path / "out" / "_scan" / "interval=all"
    assert [path.relative_to(tmp_path / "out") for path in scans.iterdir()] == [Path(out.summary["scan"])]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"bad.log": b"hello\n"}, InputError),
        ({"rejects.log": log("x", "y", "z")}, CheckError),
    ],
)
def test_a_failed_run_leaves_the_previous_output_untouched(spark, tmp_path, change, error):
    run_job(spark, tmp_path, {"a.log": log(flow(443))})
    before = contents(tmp_path / "out")
    with pytest.raises(error):
        run_job(spark, tmp_path, change)
    assert contents(tmp_path / "out") == before


def doctored(spark, tmp_path, **changes):
    """A stored scan in which something was changed behind the books' back."""
    path = write(tmp_path / "a.log", log(flow(443), flow(443), NODATA, "bad"))
    scan = scan_files(spark, LogFiles([LogFile(str(path), path.stat().st_size)]), None)
    struct, values = changes.popitem()

    def change(column: Column) -> Column:
        for name, value in values.items():
            column = column.withField(name, F.lit(value).cast("long"))
        return column

    output = Output(spark, str(tmp_path / "out"), "all", "csv")
    column = F.transform(struct, change) if struct == "tally" else change(F.col(struct))
    changed = scan.withColumn(struct, F.when(F.col(struct).isNotNull(), column))
    return load_scan(spark, output.scans, store_scan(changed, output.scans, "1")), [str(path)]


def why_unread(_path: str) -> str:
    return "nobody knows"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": {"lines": 6}}, "its lines are not all explained"),
        ({"file": {"flows": 3}}, "its lines are not all explained"),
        ({"file": {"rejects_stored": 0}}, "its lines are not all explained, or not stored"),
        ({"file": {"flows": 1, "nodata": 2}}, "1 flows were read and 2 were counted"),
        ({"tally": {"flows": 3}}, "2 flows were read and 3 were counted"),
    ],
)
def test_rule_11_books_that_do_not_balance_fail_the_run(spark, tmp_path, change, message):
    stored, listed = doctored(spark, tmp_path, **change)
    settings = Settings((str(tmp_path),), "lookup", "out", max_reject_ratio=1)
    with pytest.raises(CheckError, match=message):
        pipeline.check(read_books(stored, listed, why_unread), stored, settings)


def test_rule_11_a_rejected_line_that_is_not_stored_fails_the_run(spark, tmp_path):
    path = write(tmp_path / "a.log", log(flow(443), "bad", "worse"))
    scan = scan_files(spark, LogFiles([LogFile(str(path), path.stat().st_size)]), None)
    output = Output(spark, str(tmp_path / "out"), "all", "csv")
    fewer = scan.withColumn("rejects", F.filter("rejects", lambda reject: reject["text"] != "worse"))
    stored = load_scan(spark, output.scans, store_scan(fewer, output.scans, "1"))
    with pytest.raises(CheckError, match="2 rejected lines were to be stored and 1 are stored"):
        check_books(read_books(stored, [str(path)], why_unread))


def test_rule_11_books_that_balance_pass(spark, tmp_path):
    stored, listed = doctored(spark, tmp_path, file={"lines": 5})
    books = read_books(stored, listed, why_unread)
    check_books(books)
    assert (books.files, books.totals["flows"], books.rejected) == (1, 2, 1)


def test_rule_11_a_listed_file_that_leaves_no_audit_is_named(spark, tmp_path):
    stored, listed = doctored(spark, tmp_path, file={"lines": 5})
    settings = Settings((str(tmp_path),), "lookup", "out", max_reject_ratio=1)
    with pytest.raises(InputError, match=r"gone\.log: nobody knows"):
        pipeline.check(read_books(stored, [*listed, "/logs/gone.log"], why_unread), stored, settings)


def stored_pieces(spark, *pieces):
    """A stored scan with a tally of two flows, and audits of a file of 9 bytes that was read in pieces."""
    audits = [
        {
            "path": "/logs/a.log",
            "size": 9,
            "layouts": [V2],
            **dict.fromkeys((*KINDS, *REJECT_REASONS, "rejects_stored"), 0),
            "lines": 1,
            **piece,
        }
        for piece in pieces
    ]
    rows = [([(443, 6, 2)], None, None), *((None, audit, None) for audit in audits)]
    return spark.createDataFrame(rows, from_arrow_schema(SCAN_SCHEMA))


HEAD = {"start": 0, "stop": 4, "status": "read", "flows": 1}
TAIL = {"start": 4, "stop": 9, "status": "read", "flows": 1}


def test_rule_11_the_pieces_of_a_file_are_one_file_in_the_books(spark):
    books = read_books(stored_pieces(spark, TAIL, HEAD), ["/logs/a.log"], why_unread)
    check_books(books)
    assert (books.files, books.totals["lines"], books.totals["flows"], books.layouts) == (1, 2, 2, {V2: 1})


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ((HEAD,), r"a\.log: its lines are not all explained"),
        ((HEAD, TAIL, TAIL), r"a\.log: its lines are not all explained"),
        ((HEAD, TAIL | {"status": "skipped", "error": "vanished"}), r"in part only.*\n  /logs/a\.log: vanished"),
    ],
)
def test_rule_11_a_file_that_lacks_a_piece_fails_the_run_even_under_skip(spark, pieces, error):
    stored = stored_pieces(spark, *pieces)
    with pytest.raises(FlowsparkError, match=error):
        pipeline.check(
            read_books(stored, ["/logs/a.log"], why_unread), stored, Settings(("in",), "lookup", "out", on_bad_file="skip")
        )


def test_rule_10_a_file_that_had_vanished_for_all_its_pieces_is_left_out(spark):
    gone = {"status": "skipped", "error": "vanished", "lines": 0, "flows": 0, "layouts": []}
    stored = stored_pieces(
        spark, HEAD | gone, TAIL | gone, {"path": "/b.log", "start": 0, "stop": 9, "flows": 1, "status": "read"}
    )
    books = read_books(stored, ["/b.log", "/logs/a.log"], why_unread)
    check_files(books, "skip")
    assert (books.files, books.totals["lines"], books.bad_files) == (1, 1, {"/logs/a.log": "vanished"})
    rows = {row["path"]: row for row in files_of(stored, books).collect()}
    assert (rows["/logs/a.log"]["status"], rows["/logs/a.log"]["layout"], rows["/b.log"]["layout"]) == ("skipped", None, V2)


def test_the_join_is_a_broadcast_hash_join(spark, capsys):
    records = spark.createDataFrame([(443, 6, "OK")], "dstport int, protocol int, log_status string")
    lookup = lookup_frame(spark, parse_lookup(b"dstport,protocol,tag\n443,6,web\n"))
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")  # not by Spark's guess of the size, but as it is told
    tag_flows(records, lookup).explain()
    assert "BroadcastHashJoin" in capsys.readouterr().out


def test_results_as_parquet(spark, tmp_path):
    run_job_parquet = Settings(
        (str(write(tmp_path / "logs" / "a.log", log(flow(443), flow("-"), "bad")).parent),),
        str(write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")),
        str(tmp_path / "out"),
        output_format="parquet",
        max_reject_ratio=1,
    )
    result = pipeline.run(spark, run_job_parquet)
    tables = {
        name: spark.read.parquet(str(tmp_path / "out" / name / "interval=all"))
        for name in ("tag_counts", "port_protocol_counts", "rejects", "files")
    }
    assert [tuple(row) for row in tables["tag_counts"].collect()] == [("Untagged", 1), ("web", 1)]
    assert [tuple(row) for row in tables["port_protocol_counts"].collect()] == [(443, "tcp", 1), (None, "tcp", 1)]
    assert [tuple(row)[1:] for row in tables["rejects"].collect()] == [(4, "field_count", "bad")]
    assert tables["files"].schema.simpleString() == (
        "struct<path:string,size:bigint,modified:string,status:string,error:string,layout:string,lines:bigint,"
        "header:bigint,blank:bigint,flows:bigint,nodata:bigint,skipdata:bigint,rejected:bigint>"
    )
    assert [row["layout"] for row in tables["files"].collect()] == [V2]
    assert [top.total for top in result.tops] == [2, 2]


def test_an_empty_result_still_has_its_columns(spark, tmp_path):
    out = run_job(spark, tmp_path, {"a.log": b""})
    for name, header in (("tag_counts", "tag,count"), ("rejects", "file,line,reason,text")):
        (part,) = (tmp_path / "out" / name / "interval=all").glob("part-*")
        assert part.read_text() == header + "\n"
    assert out.summary["books"]["files"] == 1


def test_the_summary_holds_what_was_asked_and_what_was_found(spark, tmp_path):
    out = run_job(spark, tmp_path, {"a.log": log(flow(443))})
    (part,) = (tmp_path / "out" / "summary" / "interval=all").glob("part-*.json")
    text = part.read_text()
    assert text.count("\n") == 1
    assert list(json.loads(text)) == [
        "flowspark",
        "run_id",
        "interval",
        "started",
        "finished",
        "inputs",
        "lookup",
        "books",
        "reject_reasons",
        "tagged",
        "untagged",
        "flows_without_ports",
        "bad_files",
        "layouts",
        "unknown_fields",
        "late_files",
        "not_searched",
        "phases",
        "settings",
        "scan",
        "decoder",
    ]
    assert out.summary["settings"]["max_reject_ratio"] == "0.01"
    assert out.summary["settings"]["layout"] is None
    assert out.summary["decoder"] == "compiled"


def test_a_tag_may_hold_line_breaks_commas_and_quotes(spark, tmp_path):
    lookup = 'dstport,protocol,tag\n443,tcp,"two\nlines"\n22,tcp,"a\rb"\n53,udp,"x, ""y"""\n'
    out = run_job(spark, tmp_path, {"a.log": log(flow(443), flow(22), flow(53, 17), flow(1))}, lookup)
    assert out.tags == [("Untagged", 1), ("a\rb", 1), ("two\nlines", 1), ('x, "y"', 1)]
    assert (out.summary["tagged"], out.summary["untagged"]) == (3, 1)


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_rule_10_files_that_cannot_be_opened_are_all_named_through_both_readers(spark, tmp_path, reader):
    for name in ("one", "two"):
        (tmp_path / "logs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "logs" / name).symlink_to("nowhere")
    logs = {"a.log": log(flow(443)), "empty.log": b"", "cut.gz": gzip.compress(log(flow(443)))[:-4]}
    with pytest.raises(InputError, match=r"3 of 5 file\(s\) cannot be used") as caught:
        run_job(spark, tmp_path, logs, reader=reader)
    for name in (
        "one: a link to a file that is not there",
        "two: a link to a file that is not there",
        "cut.gz: the gzip ends",
    ):
        assert name in str(caught.value)
    out = run_job(spark, tmp_path, logs, reader=reader, on_bad_file="skip")
    assert {name: row["status"] for name, row in out.files.items()} == {
        "a.log": "read", "empty.log": "read", "cut.gz": "skipped", "one": "skipped", "two": "skipped",
    }  # fmt: skip


def test_large_lookups_work(spark, tmp_path):
    rows = [f"{port},{protocol},t{port % 500}" for port in range(65536) for protocol in (6, 17, 1)]
    out = run_job(spark, tmp_path, {"a.log": log(flow(443), flow(65535, 17))}, "\n".join(["dstport,protocol,tag", *rows]))
    assert out.summary["lookup"]["mappings"] == 65536 * 3
    assert out.tags == [("t35", 1), ("t443", 1)]


@pytest.mark.parametrize(
    ("place", "message"),
    [("logs/out", "lie inside one another"), (".", "lie inside one another"), ("logs", "lie inside one another")],
)
def test_output_and_input_are_apart(spark, tmp_path, place, message):
    with pytest.raises(UsageError, match=message):
        run_job(spark, tmp_path, {"a.log": log(flow())}, output=str(tmp_path / place))


def test_an_output_that_cannot_be_written_is_told_before_the_scan(spark, tmp_path):
    write(tmp_path / "file", b"")
    with pytest.raises(UsageError, match="is not a folder"):
        run_job(spark, tmp_path, {"a.log": log(flow())}, output=str(tmp_path / "file" / "out"))
    assert not (tmp_path / "out").exists()


def test_an_output_that_spark_cannot_reach_is_told_before_the_scan(spark, tmp_path):
    log_file = write(tmp_path / "logs" / "a.log", log(flow()))
    lookup = write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    with pytest.raises(UsageError, match=r"gs://bucket/out cannot be reached: .*(No FileSystem|GoogleHadoopFileSystem)"):
        pipeline.run(spark, Settings((str(log_file),), str(lookup), "gs://bucket/out"))

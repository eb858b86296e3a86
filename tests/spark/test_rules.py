"""The twelve rules of what decides a count, each by name, through the whole job."""

from __future__ import annotations

import gzip

import pytest

from flowspark import read_flow_logs, splits
from flowspark.errors import CheckError, InputError
from flowspark.report import warnings
from tests.logs import NODATA, SKIPDATA, V2, flow, log
from tests.spark.job import read_part, run_job

ANY = {"max_reject_ratio": "1"}


def test_rule_1_a_flow_is_ok_or_has_no_status_but_both_ports(ansi_spark, tmp_path):
    out = run_job(
        ansi_spark,
        tmp_path,
        {
            "v2.log": log(flow(443, 6), flow(443, 6, action="REJECT"), NODATA, SKIPDATA, flow(443, 6, "NODATA")),
            "dash.log": log(flow(443, 6, "-"), flow("-", 6, "-"), flow(443, "-", "-"), flow("-", "-", "OK")),
            "no-status.log": log("443 6", "- 6", "443 -", header="dstport protocol"),
            "no-ports.log": log("eni-1 OK", "eni-1 NODATA", "eni-1 -", header="interface-id log-status"),
            "half.log": log("443 OK", "443 -", header="dstport log-status"),
        },
    )
    assert out.summary["books"] == {
        "files": 5, "lines": 22, "header": 5, "blank": 0, "flows": 7, "nodata": 9, "skipdata": 1, "rejected": 0,
        "files_skipped": 0, "rejects_stored": 0,
    }  # fmt: skip
    assert out.tags == [("web", 4), ("Untagged", 3)]
    assert out.summary["flows_without_ports"] == 3
    assert (out.summary["tagged"], out.summary["untagged"]) == (4, 3)
    assert out.ports == [("443", "tcp", 4), ("", "", 2), ("443", "", 1)]


def test_rule_2_the_match_is_on_port_and_protocol_number_and_port_0_is_a_value(ansi_spark, tmp_path):
    lookup = "dstport,protocol,tag\n0,ICMP,ping\n0,icmpv6,ping6\n443,TCP,web\n89,ospf,routing\n5,6,five\n7,253,test\n"
    logs = log(flow(0, 1), flow(0, 58), flow(443, 6), flow(443, 17), flow(89, 89), flow("0005", "06"), flow(7, 253))
    missing = log("- 6 OK", "0 - OK", header="dstport protocol log-status")
    out = run_job(ansi_spark, tmp_path, {"a.log": logs, "b.log": missing}, lookup)
    assert dict(out.tags) == {"Untagged": 3, "ping": 1, "ping6": 1, "web": 1, "routing": 1, "five": 1, "test": 1}


def test_rule_3_blanks_crlf_bom_and_blank_lines_never_matter(spark, tmp_path):
    plain = log(flow(443), flow(53, 17))
    odd = b"\xef\xbb\xbf\r\n" + plain.replace(b" ", b" \t ").replace(b"\n", b" \r\n\r\n \t\r\n")
    lookup = b'\xef\xbb\xbf Protocol , TAG,dstport ,note\r\n\r\n tcp ,\t web , 443,x\r\nUDP, "dns" ,053,\r\n , , ,\r\n'
    out = run_job(spark, tmp_path, {"plain.log": plain, "odd.log": odd}, lookup)
    assert out.tags == [("dns", 2), ("web", 2)]
    assert out.summary["books"]["blank"] == 7
    assert out.summary["books"]["rejected"] == 0
    assert out.summary["lookup"]["rows"] == 2


def test_rule_4_tags_compare_without_case_and_are_written_as_first_spelled(spark, tmp_path):
    lookup = "dstport,protocol,tag\n443,tcp,Web ÄPP\n80,tcp,WEB äpp\n22,tcp,ssh\n"
    out = run_job(spark, tmp_path, {"a.log": log(flow(443), flow(80), flow(22))}, lookup)
    assert out.tags == [("Web ÄPP", 2), ("ssh", 1)]


CONFLICT = "dstport,protocol,tag\n443,tcp,web\n443,6,tls\n443,TCP,WEB\n53,udp,dns\n53,udp,dns\n"


@pytest.mark.parametrize(
    ("choice", "tags"),
    [("all", {"web": 2, "tls": 2, "dns": 1}), ("first", {"web": 2, "dns": 1}), ("last", {"web": 2, "dns": 1})],
)
def test_rule_5_a_key_with_two_tags_counts_for_both_and_never_multiplies_the_ports(spark, tmp_path, choice, tags):
    out = run_job(spark, tmp_path, {"a.log": log(flow(443), flow(443), flow(53, 17))}, CONFLICT, on_conflict=choice)
    assert dict(out.tags) == tags
    assert out.ports == [("443", "tcp", 2), ("53", "udp", 1)]
    (conflict,) = out.summary["lookup"]["conflicts"]
    assert (conflict["dstport"], conflict["protocol"], set(conflict["tags"])) == (443, "tcp", {"web", "tls"})
    assert out.summary["lookup"]["rows"] == 5
    assert (out.summary["tagged"], out.summary["untagged"]) == (3, 0)


def test_rule_5_a_conflict_under_error_is_a_bad_input(spark, tmp_path):
    with pytest.raises(InputError, match=r"port 443 tcp: web, tls"):
        run_job(spark, tmp_path, {"a.log": log(flow())}, CONFLICT, on_conflict="error")


def test_rule_6_what_matches_nothing_is_untagged_and_a_tag_without_flows_has_no_row(ansi_spark, tmp_path):
    out = run_job(ansi_spark, tmp_path, {"a.log": log(flow(443), flow(9999), flow(53, 6), NODATA)})
    assert out.tags == [("Untagged", 2), ("web", 1)]


def test_rule_7_port_counts_cover_every_flow_with_protocols_by_keyword(ansi_spark, tmp_path):
    logs = log(flow(443), flow(9999, 17), flow(0, 253), flow(0, 255), flow(0, 58), flow(0, 13), flow("-", 6))
    out = run_job(ansi_spark, tmp_path, {"a.log": logs})
    assert out.ports == [
        ("0", "argus", 1),
        ("0", "ipv6-icmp", 1),
        ("0", "253", 1),
        ("0", "reserved", 1),
        ("443", "tcp", 1),
        ("9999", "udp", 1),
        ("", "tcp", 1),
    ]


def test_rule_8_the_order_is_fixed(ansi_spark, tmp_path):
    lookup = "dstport,protocol,tag\n1,tcp,b\n2,tcp,Z\n3,tcp,é\n4,tcp,a\n5,tcp,\U0001f600\n6,tcp,\uffff\n"
    flows = [flow(1), flow(1), *(flow(port) for port in (2, 3, 4, 5, 6)), flow(6, 17), flow(6, 1)]
    out = run_job(ansi_spark, tmp_path, {"a.log": log(*flows), "b.log": log(header=V2)}, lookup)
    assert [tag for tag, _ in out.tags] == ["Untagged", "b", "Z", "a", "é", "\uffff", "\U0001f600"]
    assert [row[:2] for row in out.ports] == [
        ("1", "tcp"), ("2", "tcp"), ("3", "tcp"), ("4", "tcp"), ("5", "tcp"), ("6", "icmp"), ("6", "tcp"), ("6", "udp"),
    ]  # fmt: skip


def test_rule_8_the_same_input_gives_the_same_bytes(spark, tmp_path):
    logs = {f"{n}.log": log(*(flow(port) for port in range(n, 300))) for n in range(5)}
    parts = []
    for name in ("first", "second"):
        out = run_job(spark, tmp_path, logs, output=str(tmp_path / name))
        parts.append([read_part(out.output, table) for table in ("tag_counts", "port_protocol_counts", "rejects", "files")])
    assert parts[0] == parts[1]


def test_rule_9_a_rejected_line_is_named_with_its_first_reason(spark, tmp_path):
    text = 'x, "quoted"\ttab\rreturn #' + "é" * 2000
    rows = [
        (flow(443), None),
        (text, "field_count"),
        (flow("x", 999, "ok"), "bad_log_status"),
        (flow("4e3", 999), "bad_number"),
        (flow(65536, 6), "out_of_range"),
        (flow(443, 256), "out_of_range"),
        (flow(443, "-1"), "out_of_range"),
        (flow("-0", "-0"), None),
        (flow("x", 6, "NODATA"), "bad_number"),
        ("  " + flow("tail") + " ", "bad_number"),
        (flow(" 443", 6) + " # comment", "field_count"),
        (flow(0).replace("49152", "port"), None),
    ]
    out = run_job(spark, tmp_path, {"a.log": log(*(row for row, _ in rows))}, **ANY)
    expected = [("a.log", n, why, row[:1000]) for n, (row, why) in enumerate(rows, 2) if why]
    assert out.rejects == expected
    assert out.summary["books"]["rejected"] == 9
    assert out.summary["books"]["flows"] == 3


def test_rule_9_too_many_rejects_fail_the_run_and_publish_nothing(spark, tmp_path):
    logs = {"a.log": log(*[flow()] * 95, NODATA, SKIPDATA, "", "bad", "bad", "worse")}  # 3 of 100 record lines
    run_job(spark, tmp_path, logs, max_reject_ratio="0.03")
    before = sorted((p, p.read_bytes()) for p in (tmp_path / "out" / "tag_counts").rglob("*") if p.is_file())
    with pytest.raises(CheckError, match=r"3 of 100 record lines were rejected \(3 field_count\)") as failure:
        run_job(spark, tmp_path, logs, max_reject_ratio="0.029999999999999999")
    assert "a.log, line 100: field_count: bad" in str(failure.value)
    assert before == sorted((p, p.read_bytes()) for p in (tmp_path / "out" / "tag_counts").rglob("*") if p.is_file())


CUT = gzip.compress(log(*[flow()] * 50, "bad"))[:-12]
BAD_FILES = {
    "cut.log.gz": (CUT, "cut"),
    "corrupt.log": (gzip.compress(log(flow())) + b"this is no gzip member", "corrupt gzip"),
    "notes.txt": (b"hello\nworld\n", "no layout"),
    "parquet.log": (b"PAR1" + bytes(100), "Parquet"),
    "archive.log": (b"PK\x03\x04" + bytes(100), "this is a zip file"),
    "twice.log.gz": (gzip.compress(gzip.compress(log(flow()))), "this is a gzip file inside gzip"),
    "events.json": (b'{"messageType":"DATA_MESSAGE"}', "JSON"),
    "export.gz": (gzip.compress(b"2026-11-22T05:15:04.000Z " + flow().encode() + b"\n"), "CloudWatch export"),
    "uncountable.log": (log("1 ACCEPT", header="bytes action"), "neither log-status nor both"),
    "late.log": (log(flow(), "bytes action", "1 ACCEPT"), "neither log-status nor both"),
    "long.log": (log(flow()) + b"x" * (2 << 20), "1 MiB"),
}


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_rule_10_all_bad_files_are_named_and_fail_the_run(spark, tmp_path, reader):
    logs = {name: content for name, (content, _) in BAD_FILES.items()} | {"good.log": log(flow(), "bad")}
    with pytest.raises(InputError) as failure:
        run_job(spark, tmp_path, logs, reader=reader)
    lines = str(failure.value).split("\n  ")[1:]
    assert len(lines) == len(BAD_FILES)
    for line, (name, (_, error)) in zip(lines, sorted(BAD_FILES.items()), strict=True):
        assert line.startswith(str(tmp_path / "logs" / name) + ": ")
        assert error in line
    assert not (tmp_path / "out" / "tag_counts").exists()


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_rule_10_a_skipped_file_is_left_out_whole(spark, tmp_path, reader):
    logs = {name: content for name, (content, _) in BAD_FILES.items()}
    logs |= {"good.log": log(flow(), "bad"), "empty.log": b"", "blank.log": b"\n \n"}
    out = run_job(spark, tmp_path, logs, on_bad_file="skip", reader=reader, **ANY)
    assert out.tags == [("web", 1)]
    assert out.rejects == [("good.log", 3, "field_count", "bad")]
    books = out.summary["books"]
    assert (books["files"], books["lines"], books["blank"], books["rejected"]) == (3, 5, 2, 1)
    assert [bad["path"].rsplit("/")[-1] for bad in out.summary["bad_files"]] == sorted(BAD_FILES)
    for name in BAD_FILES:
        row = out.files[name]
        assert row["status"] == "skipped"
        assert BAD_FILES[name][1] in row["error"]
        assert (row["lines"], row["flows"], row["rejected"]) == ("0", "0", "0")
    assert out.files["empty.log"]["status"] == "read"
    assert out.files["empty.log"]["layout"] == ""


def test_rule_10_a_run_whose_files_are_all_bad_fails_even_under_skip(spark, tmp_path):
    with pytest.raises(InputError, match="not one of the 1 file"):
        run_job(spark, tmp_path, {"cut.log.gz": CUT}, on_bad_file="skip")


def test_rule_10_a_file_without_a_header_is_never_guessed_by_its_number_of_fields(spark, tmp_path):
    fourteen = flow().replace("2 ", "3 ", 1).encode() + b"\n"
    for content in (fourteen, b"a b c d e f g h i j k l m n\n", flow(status="x").encode()):
        with pytest.raises(InputError, match="no layout"):
            run_job(spark, tmp_path, {"bare.log": content})
    with pytest.raises(InputError, match="not a flow log"):
        run_job(spark, tmp_path, {"bare.log": b"hello world\n"}, layout="v2")
    out = run_job(spark, tmp_path, {"bare.log": log(flow(), "bad", header=None)}, **ANY)
    assert (out.tags, len(out.rejects)) == ([("web", 1)], 1)


def test_rule_11_the_books_balance_per_file_and_in_all(ansi_spark, tmp_path):
    out = run_job(
        ansi_spark,
        tmp_path,
        {"a.log": log(flow(), "", NODATA, "bad", SKIPDATA), "b.log": log(flow(), flow(1)), "c.log": b""},
        **ANY,
    )
    kinds = ("header", "blank", "flows", "nodata", "skipdata", "rejected")
    for row in [*out.files.values(), out.summary["books"]]:
        assert int(row["lines"]) == sum(int(row[kind]) for kind in kinds)
    assert out.summary["books"]["flows"] == sum(count for *_, count in out.ports) == 3
    assert [out.files["a.log"][kind] for kind in ("lines", *kinds)] == ["6", "1", "1", "1", "1", "1", "1"]


def test_rule_12_a_header_in_mid_file_starts_a_new_layout(spark, tmp_path):
    other = "protocol log-status dstport new-field"
    content = log(flow(443), flow(443, 17), other, "17 OK 53 x", "6 OK 443", V2, flow(22), other, "1 OK 0 y", other)
    out = run_job(spark, tmp_path, {"a.log": content}, **ANY)
    assert out.tags == [("Untagged", 1), ("dns", 1), ("ping", 1), ("ssh", 1), ("web", 1)]
    assert out.summary["books"]["header"] == 5
    assert out.rejects == [("a.log", 6, "field_count", "6 OK 443")]
    assert out.summary["unknown_fields"] == ["new-field"]
    assert out.summary["layouts"] == [{"layout": other, "files": 1}, {"layout": V2, "files": 1}]
    assert out.files["a.log"]["layout"] == f"{V2} | {other}"


def test_rule_12_of_a_field_that_a_header_repeats_the_first_column_counts(spark, tmp_path):
    repeated = "account-id dstport new-field protocol account-id log-status dstport bytes start new-field"
    content = log("01 443 a 6 02 OK 22 1 1 b", "01 53 - 17 02 OK 22 1 1 b", header=repeated)
    out = run_job(spark, tmp_path, {"a.log": content})
    assert out.tags == [("dns", 1), ("web", 1)]
    assert out.summary["unknown_fields"] == ["new-field"]
    (warning,) = (text for text in warnings(out.summary) if "more than once" in text)
    assert warning.startswith("1 file(s) have a layout that names account-id, dstport, new-field more than once")
    records = read_flow_logs(spark, str(tmp_path / "logs"), columns=["dstport", "account_id", "unknown_fields"])
    assert sorted(tuple(row) for row in records.collect()) == [
        (53, "01", {"new-field": None}),
        (443, "01", {"new-field": "a"}),
    ]


def test_rule_12_a_large_file_in_pieces_is_published_as_the_whole_file_is(spark, tmp_path, monkeypatch):
    other = "protocol log-status dstport new-field"
    large = log(*[flow(), "bad", NODATA, "", flow(53, 17)] * 9, other, *["6 OK 22 x", "6 OK 443"] * 9, V2, "x", flow(22))
    logs = {
        "large.log": large,
        "bare.log": log(*[flow(), "x"] * 20, header=None),
        "packed.log": gzip.compress(large, 0),
        "small.log": log(flow(1)),
        "empty.log": b"",
    }
    published = []
    for limit in (splits._LARGEST, 1000):
        monkeypatch.setattr(splits, "_UNCUT", limit)
        monkeypatch.setattr(splits, "_LARGEST", limit)
        monkeypatch.setattr(splits, "_RANGE", 300)
        monkeypatch.setattr(splits, "_EVEN", 0)
        out = run_job(spark, tmp_path, logs, **ANY)
        tables = [read_part(out.output, name) for name in ("tag_counts", "port_protocol_counts", "rejects", "files")]
        parts = spark.read.parquet(str(out.output / out.summary["scan"])).where("file IS NOT NULL").count()
        books = [out.summary[name] for name in ("books", "reject_reasons", "layouts", "unknown_fields")]
        published.append((tables, books, parts))
    (tables, books, parts), (tables_of_pieces, books_of_pieces, pieces) = published
    assert (tables_of_pieces, books_of_pieces) == (tables, books)
    assert (parts, pieces > 15) == (5, True)


def test_rule_9_the_first_100_000_rejected_lines_of_a_file_are_published_in_pieces_too(spark, tmp_path, monkeypatch):
    logs = {"large.log": log(flow(), *["x"] * 150_000, flow()), "small.log": log(flow(), "bad")}
    published = []
    for limit in (splits._LARGEST, 1000):
        monkeypatch.setattr(splits, "_UNCUT", limit)
        monkeypatch.setattr(splits, "_RANGE", 100_000)
        monkeypatch.setattr(splits, "_EVEN", 0)
        out = run_job(spark, tmp_path, logs, **ANY)
        stored = spark.read.parquet(str(out.output / out.summary["scan"])).selectExpr("inline(rejects)").count()
        published.append((read_part(out.output, "rejects"), out.summary["books"], stored))
    (whole, books, stored), (in_pieces, books_of_pieces, stored_of_pieces) = published
    assert in_pieces == whole
    assert books_of_pieces == books
    assert (stored, stored_of_pieces) == (100_001, 150_001)
    assert (books["rejected"], books["rejects_stored"]) == (150_001, 100_001)
    assert [out.rejects[n][:2] for n in (0, 99_999, 100_000)] == [
        ("large.log", 3), ("large.log", 100_002), ("small.log", 3),
    ]  # fmt: skip

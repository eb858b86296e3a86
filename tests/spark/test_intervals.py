"""Intervals: the same files whatever the keys and the reader, run again exactly, tagged again, in turns."""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import flowspark
from flowspark import pipeline, publishing, turns
from flowspark.errors import FlowsparkError, InputError, UsageError
from flowspark.settings import Settings
from flowspark.turns import TurnLost
from tests.logs import NODATA, flow, log, write
from tests.spark.job import LOOKUP, published_summary, read_csv, read_part
from tests.unit.test_keys import LAYOUTS, key

pytestmark = pytest.mark.newest

TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")
MORNING = datetime(2026, 11, 22, 5, 15, tzinfo=UTC)


def asked(folder: Path, **changes) -> Settings:
    lookup = folder / "lookup.csv"
    if not lookup.exists():
        write(lookup, LOOKUP.encode())
    return Settings(**({"input": (str(folder / "logs"),), "lookup": str(lookup), "output": str(folder / "out")} | changes))


def bytes_of(folder: Path, label: str) -> dict[str, bytes]:
    return {name: read_part(folder / "out", name, label) for name in TABLES}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("interval", "reader"), [("2026-11-22", "spark"), ("2026-11-22T05", "direct")])
def test_every_key_layout_gives_the_same_results_through_both_readers(spark, tmp_path, interval, reader):
    content = {MORNING: log(flow(443), flow(53, 17), NODATA), MORNING + timedelta(minutes=5): log(flow(443), flow(22))}
    for days in (-1, 1):
        content[MORNING + timedelta(days=days)] = log(flow(1), flow(2))
    if interval.endswith("T05"):
        content[MORNING + timedelta(hours=1)] = content[MORNING - timedelta(hours=1)] = log(flow(3))
    results = set()
    for n, how in enumerate(LAYOUTS.values()):
        for time, text in content.items():
            write(tmp_path / "logs" / str(n) / key(time, **how), text, compress=True)
        run = asked(tmp_path, input=(str(tmp_path / "logs" / str(n)),), interval=interval, reader=reader, replace=True)
        result = pipeline.run(spark, run)
        assert result.summary["interval"] == interval
        assert result.summary["books"]["files"] == 2
        results.add(
            (
                read_part(tmp_path / "out", "tag_counts", interval),
                read_part(tmp_path / "out", "port_protocol_counts", interval),
            )
        )
    assert results == {(b"tag,count\nweb,2\ndns,1\nssh,1\n", b"dstport,protocol,count\n443,tcp,2\n22,tcp,1\n53,udp,1\n")}


def test_both_readers_publish_the_same_bytes_for_all_layouts_in_one_tree(spark, tmp_path):
    for n, how in enumerate(LAYOUTS.values()):
        for hour in range(3):
            time = MORNING + timedelta(hours=hour)
            write(tmp_path / "logs" / key(time, account=f"{n:012}", **how), log(flow(443), "bad", flow(n)), compress=True)
    published = []
    for reader in ("direct", "spark"):
        for filters in ({}, {"account": ("000000000001", "000000000004")}, {"flow_log_id": ("fl-0a",)}):
            run = asked(tmp_path, interval="2026-11-22T06", reader=reader, max_reject_ratio=1, replace=True, **filters)
            result = pipeline.run(spark, run)
            assert result.summary["books"]["files"] == (2 if "account" in filters else len(LAYOUTS))
            published.append(bytes_of(tmp_path, "2026-11-22T06"))
    assert published[:3] == published[3:]


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_a_run_of_an_interval_leaves_the_others_byte_for_byte(spark, tmp_path, reader):
    for day in (21, 22):
        write(tmp_path / "logs" / key(MORNING.replace(day=day)), log(flow(443)))
        pipeline.run(spark, asked(tmp_path, interval=f"2026-11-{day}", reader=reader))
    before = {path: content for path, content in tree(tmp_path / "out").items() if "2026-11-21" in path}
    assert before
    write(tmp_path / "logs" / key(MORNING + timedelta(minutes=5)), log(flow(22)))
    pipeline.run(spark, asked(tmp_path, interval="2026-11-22", reader=reader))
    assert {path: content for path, content in tree(tmp_path / "out").items() if "2026-11-21" in path} == before
    assert read_csv(tmp_path / "out", "tag_counts", "2026-11-22")[1:] == [("ssh", "1"), ("web", "1")]


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_nothing_found_says_what_was_looked_for_and_what_is_there(spark, tmp_path, reader):
    write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    cases = {
        r"2026-11-25\. There: account\(s\) 123456789010, region\(s\) eu-west-1, plain folders, newest day 2026-11-22": {
            "interval": "2026-11-25"
        },
        r"for interval 2026-11-22, region us-east-1\. There: .*region\(s\) eu-west-1": {
            "interval": "2026-11-22", "region": ("us-east-1",)
        },
        r"for account 999999999999\. There: account\(s\) 123456789010": {"account": ("999999999999",)},
    }  # fmt: skip
    for message, change in cases.items():
        with pytest.raises(InputError, match=message):
            pipeline.run(spark, asked(tmp_path, reader=reader, **change))
    assert not (tmp_path / "out").exists()
    empty = pipeline.run(spark, asked(tmp_path, reader=reader, interval="2026-11-25", allow_empty=True)).summary
    assert (empty["books"]["files"], empty["books"]["lines"]) == (0, 0)
    assert read_part(tmp_path / "out", "tag_counts", "2026-11-25") == b"tag,count\n"
    with pytest.raises(InputError, match="does not exist"):
        pipeline.run(
            spark, asked(tmp_path, reader=reader, interval="2026-11-25", input=(str(tmp_path / "no"),), replace=True)
        )


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_a_file_without_a_time_is_an_error_under_an_interval(spark, tmp_path, reader):
    write(tmp_path / "logs" / "flows_20261122T0515Z.log", log(flow(443)))
    write(tmp_path / "logs" / "flows.log", log(flow(443)))
    with pytest.raises(InputError, match=r"flows\.log does not tell its time"):
        pipeline.run(spark, asked(tmp_path, reader=reader, interval="2026-11-22"))


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_skip_unchanged_does_nothing_until_something_changes(spark, tmp_path, reader):
    def again(**changes) -> publishing.Result:
        return pipeline.run(spark, asked(tmp_path, reader=reader, interval="2026-11-22", skip_unchanged=True, **changes))

    first = write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    empty = write(tmp_path / "logs" / key(MORNING + timedelta(minutes=10)), b"")
    assert again().tops
    before = tree(tmp_path / "out")
    same = again()
    assert (same.tops, same.summary) == (None, published_summary(tmp_path / "out", "2026-11-22"))
    assert tree(tmp_path / "out") == before

    late = write(tmp_path / "logs" / key(MORNING + timedelta(minutes=5)), log(flow(22)))
    assert again().summary["late_files"] == [str(late)]
    assert again().tops is None
    os.utime(first, (0, 1_700_000_000))
    assert again().summary["late_files"] == [str(first)]
    empty.unlink()
    gone = again()
    assert (gone.summary["late_files"], gone.summary["books"]["files"], gone.tops is None) == ([], 2, False)
    write(tmp_path / "lookup.csv", LOOKUP.encode() + b"25,tcp,mail\n")
    assert again().tops
    assert again(on_conflict="first").tops
    assert again(on_conflict="first", allow_empty=True).tops is None
    assert again(on_conflict="first", output_format="parquet").tops
    assert again(on_conflict="first", output_format="parquet").tops is None


def test_retag_counts_the_stored_scan_again_and_opens_no_log(spark, tmp_path):
    path = write(tmp_path / "logs" / key(MORNING), log(flow(443), flow(22), "bad"))
    how = {"max_reject_ratio": Decimal("0.5"), "account": ("123456789010",)}
    first = pipeline.run(spark, asked(tmp_path, interval="2026-11-22", **how)).summary
    before = bytes_of(tmp_path, "2026-11-22")
    path.unlink()
    write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,Front\n")
    retagged = pipeline.run(
        spark, asked(tmp_path, input=(), interval="2026-11-22", retag=True, max_reject_ratio=None)
    ).summary
    assert read_csv(tmp_path / "out", "tag_counts", "2026-11-22")[1:] == [("Front", "1"), ("Untagged", "1")]
    after = bytes_of(tmp_path, "2026-11-22")
    assert {name: after[name] for name in TABLES[1:]} == {name: before[name] for name in TABLES[1:]}
    assert retagged["books"] == first["books"]
    assert (retagged["scan"], retagged["inputs"]) == (first["scan"], first["inputs"])
    assert retagged["settings"]["account"] == ["123456789010"]
    assert retagged["run_id"] != first["run_id"]


def test_retag_needs_a_complete_run(spark, tmp_path):
    with pytest.raises(InputError, match=r"has no complete run of interval 2026-11-22; run it from its logs"):
        pipeline.run(spark, asked(tmp_path, input=(), interval="2026-11-22", retag=True))
    write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    summary = pipeline.run(spark, asked(tmp_path, interval="2026-11-22")).summary
    shutil.rmtree(tmp_path / "out" / summary["scan"])
    with pytest.raises(InputError, match=r"the stored scan .* is gone; run the interval again"):
        pipeline.run(spark, asked(tmp_path, input=(), interval="2026-11-22", retag=True))


def test_a_run_that_dies_while_it_publishes_leaves_no_summary_behind(spark, tmp_path, monkeypatch):
    write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    settings = asked(tmp_path, interval="2026-11-22", skip_unchanged=True)
    pipeline.run(spark, settings)
    write(tmp_path / "lookup.csv", LOOKUP.encode() + b"25,tcp,mail\n")

    def die(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "files_of", die)
        with pytest.raises(RuntimeError):
            pipeline.run(spark, settings)
    assert not (tmp_path / "out" / "summary" / "interval=2026-11-22").exists()  # the results are not complete
    assert pipeline.run(spark, settings).tops
    assert published_summary(tmp_path / "out", "2026-11-22")["lookup"]["rows"] == 5


def test_scans_that_killed_runs_have_left_are_removed_a_day_later(spark, tmp_path):
    write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    scans = tmp_path / "out" / "_scan" / "interval=2026-11-22"
    now = datetime.now(UTC)
    old, recent = (f"run={now - timedelta(hours=hours):%Y%m%dT%H%M%SZ}-0" for hours in (25, 23))
    for name in (old, recent):
        write(scans / name / "part-0.parquet", b"")
    summary = pipeline.run(spark, asked(tmp_path, interval="2026-11-22")).summary
    assert sorted(path.name for path in scans.iterdir()) == sorted([recent, Path(summary["scan"]).name])


def test_two_runs_of_one_interval_at_the_same_time_end_with_one_complete_result(_spark, tmp_path):
    """Each run's lookup names its own tag: a mixture of two runs would show."""
    for minute in range(3):
        write(tmp_path / "logs" / key(MORNING + timedelta(minutes=5 * minute)), log(flow(443), flow(22)))
    failures: list[BaseException] = []

    def run(number: int) -> None:
        lookup = write(
            tmp_path / f"lookup-{number}.csv", f"dstport,protocol,tag\n443,tcp,run{number}\n22,tcp,run{number}\n".encode()
        )
        try:
            pipeline.run(_spark.newSession(), asked(tmp_path, lookup=str(lookup), interval="2026-11-22"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    summary = published_summary(tmp_path / "out", "2026-11-22")
    number = summary["lookup"]["path"][-5]
    assert read_csv(tmp_path / "out", "tag_counts", "2026-11-22")[1:] == [(f"run{number}", "6")]
    scan = tmp_path / "out" / summary["scan"]
    assert [path.name for path in scan.parent.iterdir()] == [scan.name]


def test_one_turn_at_a_time(tmp_path):
    """Many threads, short turns: never two at once, and everyone has one."""
    inside, most, had = 0, 0, []
    lock = threading.Lock()

    def take(number: int) -> None:
        nonlocal inside, most
        with turns.turn(str(tmp_path), f"run-{number}"):
            with lock:
                inside += 1
                most = max(most, inside)
            had.append(number)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, sorted(had), list(tmp_path.iterdir())) == (1, list(range(6)), [])


def test_the_claim_of_a_run_that_was_killed_is_passed_over(tmp_path):
    dead = write(tmp_path / "claim=dead", b"held\n")
    os.utime(dead, (0, datetime.now(UTC).timestamp() - 60))
    with turns.turn(str(tmp_path), "alive"):
        assert [path.name for path in tmp_path.iterdir()] == ["claim=alive"]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_waits_too_long_or_lost_its_turn_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_PATIENCE", 0.5)
    late = pytest.raises(FlowsparkError, match="run first is still publishing")
    with turns.turn(str(tmp_path), "first"), late, turns.turn(str(tmp_path), "second"):
        pass
    with turns.turn(str(tmp_path), "third") as still_ours:
        still_ours()
        (tmp_path / "claim=third").unlink()
        with pytest.raises(TurnLost, match="another run may have taken over its turn"):
            still_ours()


def test_the_facts_of_a_key_are_columns(spark, tmp_path):
    write(tmp_path / "logs" / key(MORNING, account="001234567890", flow_log="fl-9"), log(flow(443), "bad"))
    write(tmp_path / "logs" / "other.log", log(flow(22)))
    columns = ["file_account", "file_region", "file_flow_log_id", "file_time", "dstport", "rejected"]
    rows = flowspark.read_flow_logs(spark, str(tmp_path / "logs"), columns=columns).select(*columns[:-1], "rejected.reason")
    facts = ("001234567890", "eu-west-1", "fl-9", "20261122T0515Z")
    assert sorted(map(tuple, rows.collect()), key=str) == sorted(
        [(*facts, 443, None), (*facts, None, "field_count"), (None, None, None, None, 22, None)], key=str
    )
    some = flowspark.read_flow_logs(
        spark, str(tmp_path / "logs" / "AWSLogs"), columns=["dstport"], interval="2026-11-22T05", regions=["eu-west-1"]
    )
    assert some.collect() == [(443,)]
    with pytest.raises(UsageError, match="is no UTC day or hour"):
        flowspark.read_flow_logs(spark, str(tmp_path), interval="2026")


@pytest.mark.parametrize("reader", ["direct", "spark"])
def test_a_file_under_two_inputs_counts_once_whatever_the_order(spark, tmp_path, reader):
    path = write(tmp_path / "logs" / key(MORNING), log(flow(443)))
    write(tmp_path / "logs" / "AWSLogs" / "x_20261122T0000Z_.log", log(flow(22)))
    inputs = (str(path), str(tmp_path / "logs"), str(tmp_path / "logs" / "AWSLogs"))
    for order in (inputs, inputs[::-1]):
        summary = pipeline.run(spark, asked(tmp_path, input=order, reader=reader)).summary
        assert summary["books"]["files"] == 2
    assert json.dumps(summary["inputs"]) == json.dumps(list(inputs[::-1]))

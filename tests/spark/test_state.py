"""What a run can trust of what earlier runs have published, and what it refuses to replace."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowspark import pipeline, publishing, turns
from flowspark.errors import CheckError, FlowsparkError, InputError, UsageError
from flowspark.settings import Settings
from flowspark.turns import TurnLost
from tests.logs import flow, log, write
from tests.spark.job import LOOKUP, published_summary, read_csv, read_part
from tests.unit.test_keys import key

DAY = "2026-11-22"
MORNING = datetime(2026, 11, 22, 5, 15, tzinfo=UTC)
TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")


def asked(folder: Path, **changes) -> Settings:
    write(folder / "lookup.csv", LOOKUP.encode())
    paths = {"input": (f"{folder}/logs",), "lookup": f"{folder}/lookup.csv", "output": f"{folder}/out"}
    return Settings(**(paths | {"interval": DAY} | changes))


def retag(folder: Path, **changes) -> Settings:
    return asked(folder, **({"input": (), "retag": True, "max_reject_ratio": None} | changes))


pytestmark = [pytest.mark.usefixtures("logs"), pytest.mark.newest]


@pytest.fixture
def logs(tmp_path) -> Path:
    """Two files of the day, of two accounts, in two regions."""
    for account, region, port in (("000000000001", "eu-west-1", 443), ("000000000002", "us-east-1", 22)):
        write(tmp_path / "logs" / key(MORNING, account=account, region=region), log(flow(port), flow(port)))
    return tmp_path / "logs"


def summary_folder(folder: Path) -> Path:
    return folder / "out" / "summary" / f"interval={DAY}"


def summary_part(folder: Path) -> Path:
    (part,) = summary_folder(folder).glob("part-*")
    return part


def tags(folder: Path) -> dict[str, int]:
    return {tag: int(count) for tag, count in read_csv(folder / "out", "tag_counts", DAY)[1:]}


# What has changed since


def test_a_run_that_left_files_out_is_not_current_since_the_fault_may_have_passed(spark, bucket, proxy, tmp_path):
    for name in ("good", "denied"):
        bucket.put(f"logs/{name}_20261122T0515Z_.log", log(flow(443)))
    settings = asked(
        tmp_path,
        input=(bucket.uri("logs"),),
        reader="direct",
        on_bad_file="skip",
        skip_unchanged=True,
        output=bucket.uri("out"),
    )
    proxy.fail("GetObject", under="logs/denied", status=403)
    assert len(pipeline.run(spark, settings).summary["bad_files"]) == 1
    assert pipeline.run(spark, settings).tops, "the file may be readable by now"
    proxy.clear()
    assert pipeline.run(spark, settings).summary["bad_files"] == []
    assert pipeline.run(spark, settings).tops is None


def test_a_results_table_that_somebody_has_removed_is_made_again(spark, tmp_path):
    settings = asked(tmp_path, skip_unchanged=True)
    pipeline.run(spark, settings)
    before = {name: read_part(tmp_path / "out", name, DAY) for name in TABLES}
    output = pipeline.Output(spark, settings.output, DAY, "csv")
    for name in TABLES:
        folder = tmp_path / "out" / name / f"interval={DAY}"
        folder.rename(tmp_path / "aside")
        assert output.missing_results() == [name]
        (tmp_path / "aside").rename(folder)
    for part in (tmp_path / "out" / "rejects" / f"interval={DAY}").glob("part-*"):
        part.unlink()  # its _SUCCESS stays
    shutil.rmtree(tmp_path / "out" / "tag_counts")
    assert pipeline.run(spark, settings).tops
    assert {name: read_part(tmp_path / "out", name, DAY) for name in TABLES} == before
    assert pipeline.run(spark, settings).tops is None


# Tagging again


def test_the_reject_limit_applies_when_a_stored_scan_is_tagged_again(spark, tmp_path, logs):
    write(next(logs.rglob("*.gz")), log(flow(443), "bad"))
    pipeline.run(spark, asked(tmp_path, max_reject_ratio=1))
    with pytest.raises(CheckError, match="max_reject_ratio 0 allows"):
        pipeline.run(spark, retag(tmp_path, max_reject_ratio=0))
    assert pipeline.run(spark, retag(tmp_path)).summary["settings"]["max_reject_ratio"] == "1"


@pytest.mark.parametrize(
    "change", [{"input": ("/elsewhere",)}, {"account": ("000000000001",)}, {"region": ("eu-west-1",)}, {"layout": "v2"}]
)
def test_a_config_file_with_another_selection_is_refused_when_a_stored_scan_is_tagged_again(spark, tmp_path, logs, change):
    pipeline.run(spark, asked(tmp_path))
    with pytest.raises(UsageError, match=r"this run:  .*(/elsewhere|account|region)|'v2'"):
        pipeline.run(spark, retag(tmp_path, **change))
    assert pipeline.run(spark, retag(tmp_path, input=(f"{logs}/",))).tops


def test_an_output_is_tagged_again_under_any_of_its_names_and_after_it_was_moved(spark, tmp_path, monkeypatch):
    """A scan that is old enough to be removed, were it not the current one."""
    monkeypatch.setattr(publishing, "_ORPHANED", timedelta(0))
    scan = pipeline.run(spark, asked(tmp_path)).summary["scan"]
    assert scan.startswith(f"_scan/interval={DAY}/run=")
    (tmp_path / "link").symlink_to("out")
    for name in ("link", f"../{tmp_path.name}/out"):
        time.sleep(1.1)  # times in run ids have seconds
        assert pipeline.run(spark, retag(tmp_path, output=f"{tmp_path}/{name}")).summary["scan"] == scan
        assert list((tmp_path / "out" / scan).glob("part-*"))
    (tmp_path / "out").rename(tmp_path / "moved")
    assert pipeline.run(spark, retag(tmp_path, output=f"{tmp_path}/moved")).summary["scan"] == scan
    assert list((tmp_path / "moved" / scan).glob("part-*"))


def test_s3_and_s3a_are_two_names_of_one_output(spark, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "_ORPHANED", timedelta(0))
    scan = pipeline.run(spark, asked(tmp_path, output=bucket.uri("out"))).summary["scan"]
    time.sleep(1.1)
    assert pipeline.run(spark, retag(tmp_path, output=bucket.uri("out", "s3a"))).summary["scan"] == scan
    assert [name for name in bucket.keys(f"out/{scan}/") if "/part-" in name]


def test_a_stored_scan_that_has_lost_a_part_is_not_tagged_again(spark, tmp_path):
    scan = tmp_path / "out" / pipeline.run(spark, asked(tmp_path)).summary["scan"]
    rest = spark.read.parquet(str(scan)).where("file IS NULL OR file.path LIKE '%000000000001%'")
    rest.write.parquet(str(tmp_path / "rest"))
    shutil.rmtree(scan)
    (tmp_path / "rest").rename(scan)
    with pytest.raises(InputError, match=r"has lost a part: .* was read, and is not in it; run the interval again"):
        pipeline.run(spark, retag(tmp_path))


# Two selections, one interval


def test_an_interval_of_other_log_files_is_not_replaced(spark, tmp_path, logs):
    pipeline.run(spark, asked(tmp_path, account=("000000000001",)))
    shutil.rmtree(logs)  # whoever reads a log now fails in another way
    for change in (
        {"account": ("000000000002",)},
        {},
        {"account": ("000000000001",), "region": ("eu-west-1",)},
        {"account": ("000000000001",), "flow_log_id": ("fl-0a",)},
        {"account": ("000000000001",), "input": (f"{tmp_path}/other",)},
        {"account": ("000000000001",), "input": (str(logs), f"{tmp_path}/other")},
    ):
        with pytest.raises(UsageError, match=rf"published: input {logs}; account 000000000001\n  this run:  ") as caught:
            pipeline.run(spark, asked(tmp_path, **change))
        for value in (value for values in change.values() for value in values):
            assert value in str(caught.value)
        assert "--replace" in str(caught.value)
    assert tags(tmp_path) == {"web": 2}


def test_it_is_replaced_when_that_is_asked_for_and_by_the_same_files_in_other_words(spark, tmp_path, logs, monkeypatch):
    both = ("000000000001", "000000000002")
    pipeline.run(spark, asked(tmp_path, account=both))
    monkeypatch.chdir(tmp_path)
    for same in ({"account": both[::-1]}, {"input": ("logs/",)}, {"input": (f"file://{logs}", str(logs))}):
        pipeline.run(spark, asked(tmp_path, **({"account": both} | same)))
    assert tags(tmp_path) == {"ssh": 2, "web": 2}
    pipeline.run(spark, asked(tmp_path, account=both[:1], replace=True))
    assert tags(tmp_path) == {"web": 2}
    with pytest.raises(UsageError):
        pipeline.run(spark, asked(tmp_path, account=both))


def test_two_selections_at_the_same_time_end_with_one_of_them_and_a_refusal(_spark, tmp_path):
    ends: dict[str, object] = {}

    def run(account: str) -> None:
        try:
            ends[account] = pipeline.run(_spark.newSession(), asked(tmp_path, account=(account,)))
        except FlowsparkError as error:
            ends[account] = error

    threads = [threading.Thread(target=run, args=(f"00000000000{n}",)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(end).__name__ for end in ends.values()) == ["Result", "UsageError"]
    (account,) = [account for account, end in ends.items() if isinstance(end, publishing.Result)]
    assert published_summary(tmp_path / "out", DAY)["settings"]["account"] == [account]
    assert tags(tmp_path) == ({"web": 2} if account.endswith("1") else {"ssh": 2})


# A summary that is taken back is gone


class Died(RuntimeError):
    pass


def dies_while_it_publishes(spark, settings: Settings, monkeypatch) -> None:
    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "files_of", die)
        with pytest.raises(Died):
            pipeline.run(spark, settings)


def test_a_sensor_never_finds_the_marker_of_a_summary_that_was_taken_back(spark, tmp_path, monkeypatch):
    pipeline.run(spark, asked(tmp_path))
    assert {path.name[:5] for path in summary_folder(tmp_path).iterdir() if path.name[0] != "."} == {"part-", "_SUCC"}
    dies_while_it_publishes(spark, asked(tmp_path), monkeypatch)
    assert not summary_folder(tmp_path).exists()


def test_nor_on_s3(spark, bucket, tmp_path, monkeypatch):
    settings = asked(tmp_path, output=bucket.uri("out"))
    pipeline.run(spark, settings)
    place = f"out/summary/interval={DAY}/"
    assert {name.removeprefix(place)[:5] for name in bucket.keys(place)} >= {"part-", "_SUCC"}
    dies_while_it_publishes(spark, settings, monkeypatch)
    assert [name for name in bucket.keys(place) if name != place] == []


def test_nor_where_only_spark_can_write(spark, tmp_path, monkeypatch):
    """A storage that flowspark does not know, as HDFS or Azure are: a mount table of Hadoop's."""
    spark.conf.set("fs.viewfs.mounttable.flows.link./data", f"file://{tmp_path}")
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")  # as some platforms have it
    settings = asked(tmp_path, output="viewfs://flows/data/out", skip_unchanged=True)
    assert pipeline.run(spark, settings).tops
    assert pipeline.run(spark, settings).tops is None
    write(tmp_path / "logs" / key(MORNING + timedelta(minutes=5)), log(flow(443)))
    dies_while_it_publishes(spark, settings, monkeypatch)
    assert [path.name for path in summary_folder(tmp_path).rglob("*") if not path.name.endswith(".crc")] == []
    assert pipeline.run(spark, settings).summary["books"]["files"] == 3
    assert pipeline.run(spark, retag(tmp_path, output="viewfs://flows/data/out")).tops


def test_a_fence_hides_no_other_error(spark, tmp_path):
    output = pipeline.Output(spark, f"{tmp_path}/out", DAY, "csv")

    def fail() -> None:
        raise Died("the disk is full")

    with pytest.raises(Died):
        publishing.fenced(output, lambda: None, fail)


# A turn that was lost


def test_a_run_that_stands_still_while_it_publishes_mixes_nothing_with_the_run_that_overtakes_it(
    _spark, tmp_path, monkeypatch
):
    """The first run stands still before its last table is written; the second takes over, and completes."""
    for name, seconds in (("_BEAT", 600.0), ("_STALLED", 600.0), ("_LEASE", 1.0)):  # no claim is renewed
        monkeypatch.setattr(turns, name, seconds)
    stands, goes_on = threading.Event(), threading.Event()
    files_of = publishing.files_of
    ends: list[object] = []

    def stand_still(*arguments):
        if threading.current_thread() is not threading.main_thread() and not stands.is_set():
            stands.set()
            goes_on.wait(60)
        return files_of(*arguments)

    def first() -> None:
        try:
            pipeline.run(_spark.newSession(), asked(tmp_path, output_format="parquet"))
        except BaseException as error:
            ends.append(error)

    monkeypatch.setattr(publishing, "files_of", stand_still)
    thread = threading.Thread(target=first)
    thread.start()
    assert stands.wait(120)
    while not all((tmp_path / "out" / name / f"interval={DAY}" / "_SUCCESS").exists() for name in TABLES[:3]):
        time.sleep(0.1)
    time.sleep(2.5)  # longer than the lease, and enough for the checks after those tables
    second = pipeline.run(_spark.newSession(), asked(tmp_path)).summary
    monkeypatch.setattr(turns, "_STALLED", 0.5)
    goes_on.set()
    thread.join()
    assert [type(end) for end in ends] == [TurnLost]
    assert published_summary(tmp_path / "out", DAY) == json.loads(json.dumps(second))
    for name in TABLES:
        assert [path.suffix for path in (tmp_path / "out" / name / f"interval={DAY}").glob("part-*")] == [".csv"]


def test_a_run_that_stands_still_in_the_middle_of_a_write_takes_the_summary_back(spark, tmp_path):
    """Its table lies beside those of another run then: no summary may speak of them, and one that is to come is stopped."""
    pipeline.run(spark, asked(tmp_path))
    output = pipeline.Output(spark, f"{tmp_path}/out", DAY, "csv")
    claim = write(tmp_path / "out" / "_scan" / f"interval={DAY}" / "claim=other", b"held\n")
    clock = iter([True, False])

    def still_ours() -> None:
        if not next(clock):
            raise TurnLost("lost")

    with pytest.raises(TurnLost):
        publishing.fenced(output, still_ours, lambda: "written")
    assert not summary_folder(tmp_path).exists()
    assert (claim.parent / "revoked=other").exists()


# Damaged state


@pytest.mark.parametrize("damage", [lambda text: json.dumps(json.loads(text), indent=2), lambda text: text[:200]])
def test_a_damaged_summary_is_no_previous_run_with_a_warning(spark, tmp_path, caplog, damage):
    settings = asked(tmp_path, skip_unchanged=True)
    pipeline.run(spark, settings)
    part = summary_part(tmp_path)
    part.write_text(damage(part.read_text()))
    (part.parent / f".{part.name}.crc").unlink()
    with pytest.raises(InputError, match="has no complete run of interval"):
        pipeline.run(spark, retag(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert pipeline.run(spark, settings).tops
    assert f"has no previous run of interval {DAY} that can be used: the summary" in caplog.text
    assert pipeline.run(spark, settings).tops is None


def test_a_missing_or_short_files_table_is_no_previous_run_with_a_warning(spark, tmp_path, caplog):
    settings = asked(tmp_path, skip_unchanged=True)
    files = tmp_path / "out" / "files" / f"interval={DAY}"
    for damage in (lambda: shutil.rmtree(files), lambda: shorten(next(files.glob("part-*")))):
        pipeline.run(spark, settings)
        damage()
        with pytest.raises(InputError, match="has no complete run of interval"):
            pipeline.run(spark, retag(tmp_path))
        caplog.clear()
        assert pipeline.run(spark, settings).tops
        assert "the table files" in caplog.text
    pipeline.run(spark, settings)


def shorten(part: Path) -> None:
    part.write_text("".join(part.read_text().splitlines(keepends=True)[:-1]))
    (part.parent / f".{part.name}.crc").unlink()


def test_two_summaries_are_damage_and_what_else_lies_there_is_not_looked_at(spark, tmp_path):
    settings = asked(tmp_path, skip_unchanged=True)
    pipeline.run(spark, settings)
    write(summary_folder(tmp_path) / "notes.txt", b"ours")
    assert pipeline.run(spark, settings).tops is None
    write(summary_folder(tmp_path) / "part-9.json", summary_part(tmp_path).read_bytes())
    assert pipeline.run(spark, settings).tops


def test_a_setting_that_an_older_summary_lacks_is_its_default(spark, tmp_path):
    settings = asked(tmp_path, skip_unchanged=True)
    pipeline.run(spark, settings)
    part = summary_part(tmp_path)
    content = json.loads(part.read_text())
    del content["settings"]["replace"], content["settings"]["flow_log_id"]
    part.write_text(json.dumps(content) + "\n")
    (part.parent / f".{part.name}.crc").unlink()
    assert pipeline.run(spark, settings).tops is None
    assert pipeline.run(spark, retag(tmp_path)).tops


# Paths are literal


@pytest.mark.parametrize("name", ["out[1]{a,b}*?", "o\\ut %20+#ü"])
def test_an_output_may_have_any_name(spark, tmp_path, name):
    for other in ("out1", "outa", "outx"):  # what a pattern would find
        write(tmp_path / other / "summary" / f"interval={DAY}" / "part-0.json", b"{}")
    settings = asked(tmp_path, output=f"{tmp_path}/{name}", skip_unchanged=True)
    assert pipeline.run(spark, settings).tops[0].total == 2
    assert pipeline.run(spark, settings).tops is None
    assert pipeline.run(spark, retag(tmp_path, output=f"{tmp_path}/{name}")).tops
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted([*TABLES, "summary", "_scan"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["logs", "lookup.csv", name, "out1", "outa", "outx"])


def test_an_output_on_s3_may_have_any_name(spark, bucket, tmp_path):
    settings = asked(tmp_path, output=bucket.uri("out[1]*"), skip_unchanged=True)
    assert pipeline.run(spark, settings).tops
    assert pipeline.run(spark, settings).tops is None

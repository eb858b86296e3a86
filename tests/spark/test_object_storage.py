"""The job on S3: both readers, every key, failures of all kinds, and what it asks of the server."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyspark
import pytest

from flowspark import pipeline
from flowspark.cli import parser
from flowspark.decode.blocks import ROOM, SLACK, read_blocks
from flowspark.errors import BadFile, InputError
from flowspark.files import LogFile
from flowspark.s3 import S3
from flowspark.scan import read_flow_logs
from flowspark.settings import NAMES, Settings, load_settings
from tests.logs import NODATA, flow, log, write
from tests.quick_java import JAVA
from tests.s3_server import CREDENTIALS as SECRETS
from tests.spark.job import LOOKUP, read_part
from tests.unit.test_keys import LAYOUTS, key
from tests.unit.test_pieces import cut, scanned

ROOT = Path(__file__).parent.parent.parent
TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")
READERS = [pytest.param("direct", marks=pytest.mark.newest), "spark"]  # flowspark's own is the same on each Spark
MORNING = datetime(2026, 11, 22, 5, 15, tzinfo=UTC)
DAY = "2026-11-22"


def asked(bucket, scheme: str = "s3", **changes) -> Settings:
    bucket.put("tags.csv", LOOKUP.encode())
    paths = {"input": (bucket.uri("logs", scheme),), "lookup": bucket.uri("tags.csv"), "output": bucket.uri("out", scheme)}
    return Settings(**(paths | changes))


def part(bucket, name: str, label: str = "all") -> bytes:
    """The bytes of the one part file of a result."""
    (found,) = [k for k in bucket.keys(f"out/{name}/interval={label}/") if "/part-" in k]
    return bucket.get(found)


def results(bucket, label: str = "all") -> dict[str, bytes]:
    return {name: part(bucket, name, label) for name in TABLES}


def without_times(files: bytes) -> list[list[str]]:
    return [row[:2] + row[3:] for row in csv.reader(io.StringIO(files.decode()))]


CONTENT = gzip.compress(log(flow(443), flow(53, 17), NODATA, "bad", flow(1)), mtime=0)
ODD_NAMES = [
    "a b.log",
    "a+b=c.log",
    "100%.log",
    "%20.log",
    "größe.log",
    "日.log",
    "a,b'c.log",
    "x=1/dt=2/~a",
    "a&b;c@d.log",
]


@pytest.mark.parametrize("scheme", ["s3", pytest.param("s3a", marks=pytest.mark.newest)])
def test_both_readers_give_what_a_local_run_gives(spark, bucket, tmp_path, scheme):
    keys = [*ODD_NAMES, *(key(MORNING, account=f"{n:012}", **how) for n, how in enumerate(LAYOUTS.values())), "empty.log"]
    for name in keys:
        content = b"" if name == "empty.log" else CONTENT
        bucket.put(f"logs/{name}", content)
        write(tmp_path / "logs" / name, content)
    for hidden in ("logs/_SUCCESS", "logs/.a", "logs/_x/b.log", "logs/y/_z=1/c.log"):
        bucket.put(hidden, b"no log")
    write(tmp_path / "lookup.csv", LOOKUP.encode())
    local = Settings((f"{tmp_path}/logs",), f"{tmp_path}/lookup.csv", f"{tmp_path}/out", max_reject_ratio=1)
    pipeline.run(spark, local)
    expected = {name: read_part(tmp_path / "out", name) for name in TABLES}
    found = []
    for reader in ("direct", "spark"):
        pipeline.run(spark, asked(bucket, scheme, reader=reader, max_reject_ratio=1))
        found.append(results(bucket))
    assert found[0] == found[1]
    place, local_place = bucket.uri("logs", scheme).encode(), f"{tmp_path}/logs".encode()
    there = {name: content.replace(place, local_place) for name, content in found[0].items()}
    assert without_times(there.pop("files")) == without_times(expected.pop("files"))
    assert there == expected


@pytest.mark.parametrize("reader", READERS)
def test_an_interval_run_again_tagged_again_and_left_alone(spark, bucket, reader):
    def again(**changes) -> pipeline.Result:
        return pipeline.run(spark, asked(bucket, reader=reader, interval=DAY, **changes))

    bucket.put(f"logs/{key(MORNING)}", log(flow(443)))
    bucket.put(f"logs/{key(MORNING + timedelta(days=1))}", log(flow(22)))
    first = again(skip_unchanged=True).summary
    before = {name: bucket.get(name) for name in bucket.keys("out/")}
    assert again(skip_unchanged=True).tops is None
    assert {name: bucket.get(name) for name in bucket.keys("out/")} == before

    late = f"logs/{key(MORNING + timedelta(minutes=5))}"
    bucket.put(late, log(flow(53, 17)))
    second = again(skip_unchanged=True).summary
    assert second["late_files"] == [bucket.uri(late)]
    assert part(bucket, "tag_counts", DAY) == b"tag,count\ndns,1\nweb,1\n"
    assert not bucket.keys(f"out/{first['scan']}/")

    bucket.delete(late)
    bucket.put("new.csv", b"dstport,protocol,tag\n443,tcp,Front\n")
    third = again(input=(), retag=True, lookup=bucket.uri("new.csv")).summary
    assert part(bucket, "tag_counts", DAY) == b"tag,count\nFront,1\nUntagged,1\n"
    assert third["scan"] == second["scan"]
    assert not [name for name in bucket.keys("out/") if "claim=" in name]
    assert bucket.uploads() == []


@pytest.mark.newest
def test_a_piece_of_an_object_takes_a_head_and_a_get_of_its_own_bytes(bucket, proxy):
    bucket.put("a.log", bytes(range(256)) * 40)
    proxy.clear()
    with S3("s3").open(bucket.uri("a.log"), 300, 2000) as stream:
        assert stream.read() == (bytes(range(256)) * 40)[300:2000]
    assert [request.operation for request in proxy.requests] == ["HeadObject", "GetObject"]
    assert proxy.requests[-1].headers["range"] == "bytes=300-1999"
    with S3("s3").open(bucket.uri("a.log"), 10_000) as stream:
        assert len(stream.read()) == 240


@pytest.mark.newest
def test_an_object_in_pieces_comes_to_what_the_whole_does(bucket):
    content = log(*[flow(443), "bad", flow(53, 17)] * 20, "protocol dstport log-status", "6 22 OK", "x y")
    bucket.put("a.log", content)
    file = LogFile(bucket.uri("a.log"), len(content))
    pieces = cut(file, 900)
    assert len(pieces) == -(-len(content) // 900)
    (flows, _, rejects), (whole_flows, _, whole_rejects) = scanned(pieces, None), scanned([file], None)
    assert (flows, rejects) == (whole_flows, whole_rejects)


@pytest.mark.newest
def test_a_listing_of_more_than_a_page_is_complete(spark, bucket):
    for n in range(1050):
        bucket.put(f"logs/{n:04}.log", b"443 6\n" if n % 7 else b"")
    direct = pipeline.find_files(spark, [bucket.uri("logs")], "direct").files
    assert [file.path for file in direct] == [bucket.uri(f"logs/{n:04}.log") for n in range(1050)]
    assert sum(file.size for file in direct) == 900 * 6
    assert pipeline.find_files(spark, [bucket.uri("logs")], "spark").files == direct


@pytest.mark.newest
def test_below_awslogs_the_listing_asks_for_the_folders_of_the_interval_alone(spark, bucket, proxy):
    accounts, regions = [f"{n:012}" for n in range(3)], ["eu-west-1", "us-east-1"]
    for account in accounts:
        for region in regions:
            for day in range(4):
                bucket.put(f"logs/{key(MORNING - timedelta(days=day), account=account, region=region)}", log(flow(443)))

    def requests() -> list[str]:
        proxy.clear()
        pipeline.find_files(spark, [bucket.uri("logs")], "direct", asked(bucket, interval=DAY).selection)
        return sorted(f"{r.operation} {r.place}" for r in proxy.requests if r.place.startswith("logs"))

    before = requests()
    # one for the input, one for the accounts, one an account for its regions, one a region for its day
    assert len(before) == 1 + 1 + len(accounts) + len(accounts) * len(regions)
    bucket.put("logs/AWSLogs/000000000000/CloudTrail/x")
    bucket.put("logs/AWSLogs/000000000000/vpcflowlogs/eu-west-1/2025/11/22/x.log")
    assert requests() == before


@pytest.mark.parametrize("reader", READERS)
def test_a_hiccup_of_the_server_is_seen_through(spark, bucket, proxy, reader):
    for n in range(3):
        bucket.put(f"logs/{n}.log", log(*[flow(443)] * 500))
    proxy.fail("GetObject", under="logs/0.log", times=2)
    proxy.cut("GetObject", under="logs/1.log", times=1)
    proxy.fail("ListObjects", under="logs", times=1, status=500)
    summary = pipeline.run(spark, asked(bucket, reader=reader)).summary
    assert summary["books"]["flows"] == 1500
    assert proxy.count("GetObject", under="logs/0.log") >= 3


@pytest.mark.parametrize("reader", READERS)
def test_files_that_cannot_be_read_are_named_and_left_out_whole(spark, bucket, proxy, reader):
    bad = ("broken", "gone", "secret") if reader == "direct" else ("gone", "secret")  # S3A takes a minute to give up
    for name in ("good", *bad):
        bucket.put(f"logs/{name}.log", log(*[flow(443)] * 500))
    proxy.hide("logs/gone.log")
    proxy.fail("GetObject", under="logs/secret.log", status=403)
    proxy.fail("GetObject", under="logs/broken.log", status=503)
    with pytest.raises(InputError, match=rf"{len(bad)} of {len(bad) + 1} file\(s\) cannot be used") as caught:
        pipeline.run(spark, asked(bucket, reader=reader))
    for name in bad:
        assert f"{bucket.uri(f'logs/{name}.log')}: " in str(caught.value)
    assert "gone.log: vanished between listing and reading" in str(caught.value)
    summary = pipeline.run(spark, asked(bucket, reader=reader, on_bad_file="skip")).summary
    assert (summary["books"]["files"], summary["books"]["flows"]) == (1, 500)
    assert tuple(Path(file["path"]).stem for file in summary["bad_files"]) == bad
    again = pipeline.run(spark, asked(bucket, input=(), retag=True)).summary
    assert again["bad_files"] == summary["bad_files"]


def test_a_file_that_spark_could_not_read_the_first_time_is_read_once_more_and_no_other(spark, bucket, proxy, caplog):
    for n in range(4):
        bucket.put(f"logs/a b%20{n}.log", log(*[flow(443)] * 500, "bad"))
    bucket.put("logs/empty.log")
    caplog.set_level("INFO")
    proxy.fail("GetObject", under="logs/a b%202", times=1, status=403)
    summary = pipeline.run(spark, asked(bucket, reader="spark")).summary
    assert [summary["books"][name] for name in ("files", "files_skipped", "flows", "rejected")] == [5, 0, 2000, 4]
    assert "1 file(s) could not be read, 1 are read once more" in caplog.text
    audits = (
        spark.read.parquet(bucket.uri(f"out/{summary['scan']}")).where("file IS NOT NULL").select("file.path").collect()
    )
    names = [*(f"a b%20{n}.log" for n in range(4)), "empty.log"]
    assert sorted(row["path"] for row in audits) == [bucket.uri(f"logs/{name}") for name in names]
    assert [proxy.count("GetObject", under=f"logs/a b%20{n}") for n in range(4)] == [1, 1, 2, 1]
    caplog.clear()
    assert pipeline.run(spark, asked(bucket, reader="direct")).summary["books"] == summary["books"]
    assert "once more" not in caplog.text


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("fault", ["deleted", "hidden", "refused"])
def test_a_query_of_the_library_fails_for_a_file_that_it_cannot_read(spark, bucket, proxy, reader, fault):
    for name in "abc":
        bucket.put(f"logs/{name}.log", log(flow(443), flow(22)))

    def records(on_bad_file: str):
        columns = ["file", "dstport"]
        return read_flow_logs(spark, bucket.uri("logs"), columns=columns, reader=reader, on_bad_file=on_bad_file)

    failing, skipping = records("fail"), records("skip")
    assert (failing.count(), skipping.count()) == (6, 6)
    if fault == "deleted":
        bucket.delete("logs/b.log")
    elif fault == "hidden":
        proxy.hide("logs/b.log")
    else:
        proxy.fail("GetObject", under="logs/b.log", status=403)
    with pytest.raises(Exception, match=r"logs/b\.log"):
        failing.collect()
    if fault == "refused":  # the storage may hand it over the next time: a frame that lacks it would be no answer
        with pytest.raises(Exception, match=r"logs/b\.log"):
            skipping.collect()
    else:
        assert sorted({row["file"] for row in skipping.collect()}) == [bucket.uri(f"logs/{name}.log") for name in "ac"]


@pytest.mark.newest
@pytest.mark.parametrize("size", [1, 20, 1000, (8 << 20) + 1])
@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, None, "ACCESS_DENIED"),
        (403, "InvalidObjectState", "as a rule because it is archived"),
        (404, None, "vanished between listing and reading"),
    ],
)
def test_an_object_that_s3_does_not_hand_over_shows_the_reason_whatever_its_size(bucket, proxy, size, status, code, told):
    bucket.put("a.log", b"x" * size)
    stream = S3("s3").open(bucket.uri("a.log"), size - 1)  # its last byte: no error fits where one byte does
    proxy.fail("GetObject", status=status, code=code)
    with pytest.raises(BadFile, match=told) as caught:
        list(read_blocks(stream, bytearray(ROOM + SLACK)))
    assert "flush" not in str(caught.value)


@pytest.mark.newest
def test_a_small_object_is_asked_for_again_when_s3_is_busy(bucket, proxy):
    bucket.put("a.log", b"x")
    for times in (1, 3):
        proxy.clear()
        proxy.fail("GetObject", times=times)
        with S3("s3").open(bucket.uri("a.log")) as stream:
            assert stream.read() == b"x"


@pytest.mark.parametrize("reader", READERS)
def test_a_prefix_that_may_not_be_listed_is_told(spark, bucket, proxy, reader):
    bucket.put("logs/open/a.log", log(flow(443)))
    bucket.put("secret/b.log", log(flow(443)))
    proxy.deny("secret")
    settings = asked(bucket, reader=reader, input=(bucket.uri("logs"), bucket.uri("secret")))
    with pytest.raises(InputError, match="secret cannot be listed: "):
        pipeline.run(spark, settings)
    assert not bucket.keys("out/tag_counts")


@pytest.mark.parametrize("reader", READERS)
def test_what_is_not_there_is_told(spark, bucket, reader):
    bucket.put(f"logs/{key(MORNING)}", log(flow(443)))
    with pytest.raises(InputError, match=r"There: account\(s\) 123456789010, .*newest day 2026-11-22"):
        pipeline.run(spark, asked(bucket, reader=reader, interval="2026-11-30"))
    with pytest.raises(InputError, match="lgos does not exist; check the bucket and the path"):
        pipeline.run(spark, asked(bucket, reader=reader, input=(bucket.uri("lgos"),)))
    with pytest.raises(InputError, match=r"lookup .*none\.csv does not exist"):
        pipeline.run(spark, asked(bucket, reader=reader, lookup=bucket.uri("none.csv")))
    empty = pipeline.run(spark, asked(bucket, reader=reader, interval="2026-11-30", allow_empty=True)).summary
    assert json.dumps(empty["books"]["files"]) == "0"


@pytest.mark.parametrize("reader", READERS)
def test_s3_and_s3a_are_one_place(spark, bucket, reader):
    bucket.put("logs/a.log", log(flow(443)))
    both = (bucket.uri("logs", "s3"), bucket.uri("logs/a.log", "s3a"))
    assert pipeline.run(spark, asked(bucket, reader=reader, input=both)).summary["books"]["files"] == 1


def examples() -> list[list[str]]:
    """The flags of each example in the README's section on S3, in order."""
    section = (ROOT / "README.md").read_text().split("## On S3")[1].split("## ")[0]
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [line.split("jobs/tag_flows.py")[-1].split() for line in lines if " --" in line and not line.startswith("#")]


@pytest.mark.newest
def test_the_examples_of_the_readme(spark, bucket):
    for day in (17, 22):
        for account in ("123456789010", "123456789011", "123456789012"):
            bucket.put(f"logs/{key(MORNING.replace(day=day), account=account)}", log(flow(443), flow(22)))
    bucket.put("tags.csv", LOOKUP.encode())
    bucket.put("new-tags.csv", b"dstport,protocol,tag\n443,tcp,Front\n22,tcp,Back\n")
    counts = []
    for flags in examples():
        given = vars(parser().parse_args([flag.replace("my-bucket", bucket.name) for flag in flags]))
        settings = load_settings({name: given[name] for name in NAMES})
        pipeline.run(spark, settings)
        folder = settings.output.removeprefix(bucket.uri())
        (found,) = [k for k in bucket.keys(f"{folder}/tag_counts/interval={settings.interval}/") if "/part-" in k]
        counts.append(dict(row.split(",") for row in bucket.get(found).decode().splitlines()[1:]))
    two, three = {"ssh": "2", "web": "2"}, {"ssh": "3", "web": "3"}
    assert counts == [two, three, three, {"Back": "3", "Front": "3"}, three, three]


@pytest.mark.newest  # half a minute, and the example names the newest Spark's jars
def test_the_first_example_through_spark_submit(bucket, proxy):
    """The command itself: jars and settings as the README has them, and no key in anything that it says."""
    for account in ("123456789010", "123456789011", "123456789012"):
        bucket.put(f"logs/{key(MORNING, account=account)}", log(flow(443)))
    bucket.put("tags.csv", LOOKUP.encode())
    section = (ROOT / "README.md").read_text().split("## On S3")[1]
    command = re.search(r"```sh\n(spark-submit.*?)```", section, re.DOTALL).group(1).replace("my-bucket", bucket.name)
    command = command.strip() + " --log-level DEBUG"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PATH": path, "JDK_JAVA_OPTIONS": JAVA},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    summary = json.loads(run.stdout.splitlines()[-1])
    assert (summary["books"]["files"], summary["tagged"]) == (2, 2)
    assert proxy.count("CopyObject") == 0
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        assert SECRETS[secret] not in run.stdout + run.stderr


@pytest.mark.skipif(pyspark.__version__ > "4", reason="a minute and more, and the same on both: the oldest Spark has it")
def test_a_run_that_is_killed_while_it_publishes_is_run_again_exactly():
    """The short form of what the script does."""
    command = [sys.executable, str(ROOT / "scripts" / "kill_runs.py"), "--kills", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 run(s) killed, all the same when run again; 0 upload(s) left unfinished" in run.stdout

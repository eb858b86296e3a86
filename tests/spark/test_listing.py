"""Which files both readers find: below every prefix, whatever the keys on S3 hold, and however links lead to folders."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

import flowspark
from flowspark import find, listing, pipeline
from flowspark.errors import CannotList, InputError
from flowspark.find import LogFiles, find_files
from flowspark.keys import Selection, parse_interval
from flowspark.scan import scan_files
from flowspark.search import MOST_FOLDERS
from flowspark.settings import Settings
from tests.logs import flow, log, write
from tests.spark.job import LOOKUP, read_csv, run_job
from tests.unit.test_keys import LAYOUTS, key

pytestmark = pytest.mark.newest

READERS = ["direct", "spark"]
MORNING = datetime(2026, 11, 22, 5, 15, tzinfo=UTC)
DAY = Selection(parse_interval("2026-11-22"))


def handed_over(found: LogFiles) -> list[str]:
    """The paths of the files whose bytes Spark's reader hands over, sorted."""
    assert found.binary is not None
    return sorted(row["path"].removeprefix("file:") for frame in found.binary for row in frame.select("path").collect())


@pytest.mark.parametrize("scheme", ["", "s3a"])
def test_both_readers_find_a_selection_below_every_prefix(spark, bucket, tmp_path, scheme):
    prefixes = zip(["", "a/", "a/b/c/", "d/", "e/f/", "AWSLogs/g/", ""], LAYOUTS.values(), strict=True)
    keys = [
        prefix + key(MORNING + timedelta(days=days), account=f"{n:012}", **layout)
        for n, (prefix, layout) in enumerate(prefixes)
        for days in (-1, 0, 1)
    ]
    beside = ["copied/x_20261122T0000Z_.log", "copied/x_20261121T0000Z_.log", "README.txt"]
    for name in [*keys, *beside]:
        bucket.put(f"logs/{name}", b"443 6\n")
        write(tmp_path / "logs" / name, b"443 6\n")
    root = bucket.uri("logs", scheme) if scheme else f"{tmp_path}/logs"
    for selection in (DAY, Selection(parse_interval("2026-11-22T05"))):
        wanted = [*keys[1::3], *beside[: 1 if selection == DAY else 0]]
        expected = sorted(f"{root}/{name}" for name in wanted)
        direct, by_spark = (find_files(spark, [root], reader, selection) for reader in READERS)
        assert [file.path for file in direct.files] == expected
        assert by_spark.files == direct.files
        assert by_spark.not_searched == direct.not_searched == (f"{root}/README.txt",)
        assert handed_over(by_spark) == expected


def test_spark_alone_looks_one_folder_below_the_input_and_says_so(spark, tmp_path, monkeypatch):
    """As on storage that only Spark can list; `hdfs:` and the like need a server of their own."""
    names = [f"{prefix}{key(MORNING, account=f'{n:012}')}" for n, prefix in enumerate(["", "a/", "b/", "c/d/"])]
    for name in [*names, "x_20261122T0000Z_.log"]:
        write(tmp_path / "logs" / name, b"443 6\n")
    monkeypatch.setattr(find, "own_listing", lambda *_: None)
    root = f"{tmp_path}/logs"
    found = find_files(spark, [root], "spark", DAY)
    assert [file.path for file in found.files] == sorted(f"{root}/{name}" for name in names[:3]) == handed_over(found)
    assert found.not_searched == (f"{root}, outside of {root}/AWSLogs and {root}/*/AWSLogs",)
    deeper = find_files(spark, [f"{root}/c"], "spark", DAY)
    assert ([file.path for file in deeper.files], len(deeper.not_searched)) == ([f"{root}/{names[3]}"], 1)
    write(tmp_path / "deep" / "1" / "2" / names[0], b"443 6\n")
    write(tmp_path / "deep" / "README.txt", b"no log\n")
    whole = find_files(spark, [f"{tmp_path}/deep"], "spark", DAY)
    assert [file.path for file in whole.files] == [f"{tmp_path}/deep/1/2/{names[0]}"]
    assert whole.not_searched == (f"{tmp_path}/deep/README.txt",)


def test_where_flowspark_cannot_list_spark_does_and_a_warning_tells_what_remains(spark, bucket, monkeypatch, caplog):
    bucket.put("logs/a.log", log(flow(443)))

    def refuse(*_: object) -> None:
        raise CannotList("s3://b/logs cannot be listed: no credentials", denied=False)

    monkeypatch.setattr(listing, "list_input", refuse)
    assert [file.path for file in find_files(spark, [bucket.uri("logs")], "spark").files] == [bucket.uri("logs/a.log")]
    assert "cannot be listed: no credentials; Spark lists the input instead, and leaves out keys" in caplog.text


def test_auto_on_s3_is_direct_if_flowspark_can_list_and_the_log_says_why_it_is_not(spark, bucket, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "flowspark")
    bucket.put("logs/a.log", log(flow(443)))
    bucket.put("more/b.log", log(flow(443)))
    inputs, files = [bucket.uri("logs"), bucket.uri("more")], [bucket.uri("logs/a.log"), bucket.uri("more/b.log")]
    found = find_files(spark, inputs)
    assert ([file.path for file in found.files], found.binary) == (files, None)
    assert "the direct reader opens the files, because flowspark itself can list all inputs" in caplog.text
    own = listing.list_input

    def only_logs(root: str, selection: Selection) -> listing.Found:
        if root != inputs[0]:
            raise CannotList(f"{root} cannot be listed: no credentials", denied=True)
        return own(root, selection)

    monkeypatch.setattr(listing, "list_input", only_logs)
    assert handed_over(find_files(spark, inputs)) == files
    assert f"Spark's reader opens the files, because flowspark itself cannot list {inputs[1]}" in caplog.text


def test_spark_hands_over_each_file_without_a_copy_in_a_projected_row(spark, bucket):
    for name in ("a.log", "b.log"):
        bucket.put(name, log(flow(443)))
    found = find_files(spark, [bucket.uri("a.log"), bucket.uri("b.log")], "spark")
    plan = scan_files(spark, found, None)._jdf.queryExecution().executedPlan().toString()
    assert (plan.count("FileScan binaryFile"), plan.count("Project"), plan.count("file_path")) == (2, 0, 0), plan


def test_the_search_asks_for_a_thousand_folders_at_most(spark, bucket, proxy):
    bucket.put(f"logs/{key(MORNING)}", log(flow(443)))

    def requests() -> tuple[int, tuple[str, ...]]:
        proxy.clear()
        found = find_files(spark, [bucket.uri("logs")], "direct", DAY)
        assert [file.path for file in found.files] == [bucket.uri(f"logs/{key(MORNING)}")]
        return proxy.count("ListObjects", under="logs"), found.not_searched

    # one for the input, for AWSLogs, for the account's regions, and for the day
    assert requests() == (4, ())
    for n in range(1200):
        bucket.put(f"logs/other-{n:04}/x_20261121T0000Z_.parquet")
    # the input takes a second page; it and 999 of its folders make a thousand
    assert requests() == (3 + 1 + MOST_FOLDERS, tuple(bucket.uri(f"logs/other-{n:04}") for n in range(999, 1200)))


ODD = ["a//b.log", "/lead.log", "c/../d.log", "c/./e.log", "f/..", "slash/"]


@pytest.mark.parametrize("reader", READERS)
def test_a_key_that_no_reader_can_open_is_named_and_left_out_whole(spark, bucket, tmp_path, reader):
    """Beside each of them is the key that a client makes of it when it takes the odd names out."""
    plain = ["a/b.log", "lead.log", "d.log", "c/e.log", "slash", "good.log"]
    for name in [*ODD, *plain]:
        bucket.put(f"logs/{name}", log(flow(443)))
    bucket.put("logs/marker/")
    found = find_files(spark, [bucket.uri("logs")], reader)
    assert [file.path for file in found.files] == sorted(bucket.uri(f"logs/{name}") for name in [*ODD, *plain])
    bucket.put("tags.csv", LOOKUP.encode())
    settings = Settings((bucket.uri("logs"),), bucket.uri("tags.csv"), str(tmp_path / "out"), reader=reader)
    with pytest.raises(InputError, match=rf"^{len(ODD)} of {len(ODD + plain)} file\(s\) cannot be used") as caught:
        pipeline.run(spark, settings)
    for name in ODD:
        assert f"{bucket.uri(f'logs/{name}')}: neither pyarrow nor Spark can open an object whose key" in str(caught.value)
    skipping = Settings(*(settings.input, settings.lookup, settings.output), reader=reader, on_bad_file="skip")
    assert pipeline.run(spark, skipping).summary["books"]["flows"] == len(plain)


@pytest.mark.parametrize("reader", READERS)
def test_a_key_in_a_days_folder_that_no_reader_can_open_is_found_by_its_day(spark, bucket, reader):
    folder, name = key(MORNING).rsplit("/", 1)
    odd = [f"logs/{folder}//{name}", f"logs/{folder}/../22/{name}"]
    for place in [*odd, f"logs/{folder}/{name}", f"logs//{name}", "logs/AWSLogs/123456789010/vpcflowlogs//x"]:
        bucket.put(place, log(flow(443)))
    found = find_files(spark, [bucket.uri("logs")], reader, DAY)
    assert [file.path for file in found.files] == sorted(
        bucket.uri(place) for place in [odd[0], odd[1], f"logs/{folder}/{name}"]
    )
    assert found.not_searched == (f"{bucket.uri('logs')}//", f"{bucket.uri('logs')}/AWSLogs/123456789010/vpcflowlogs//")


@pytest.mark.parametrize(
    ("reader", "reason"), [("direct", "neither pyarrow nor Spark can open"), ("spark", "Spark has no row")]
)
def test_a_key_that_ends_in_a_slash_and_has_bytes_is_named(spark, bucket, tmp_path, reader, reason):
    for name in ("slash/", "slash-more.log"):
        bucket.put(f"logs/{name}", log(flow(443)))
    bucket.put("tags.csv", LOOKUP.encode())
    settings = Settings((bucket.uri("logs"),), bucket.uri("tags.csv"), str(tmp_path / "out"), reader=reader)
    named = rf"^1 of 2 file\(s\) cannot be used.*\n  {bucket.uri('logs/slash')}: {reason}"
    with pytest.raises(InputError, match=named):
        pipeline.run(spark, settings)


ODD_BUT_FINE = [
    *("tab/a\tb.log", "back/a\\b.log", "q/a?b.log", "hash/a#b.log", "percent/a%2Fb.log", "pre", "pre/in.log"),
    *("colon/a:b.log", "colon/a:b/c.log", "blank/ a.log ", "star/a*[b]{c}.log", "dots/.a/.../b.log", "e/\u0301.log"),
    *("tilde/~", f"long/{'y' * 900}"),
]


@pytest.mark.parametrize("reader", READERS)
def test_keys_with_unusual_characters_are_read(spark, bucket, tmp_path, reader):
    fine = [name for name in ODD_BUT_FINE if "/." not in name]
    for name in ODD_BUT_FINE:
        bucket.put(f"logs/{name}", log(flow(443)))
    bucket.put("tags.csv", LOOKUP.encode())
    settings = Settings((bucket.uri("logs"),), bucket.uri("tags.csv"), str(tmp_path / "out"), reader=reader)
    expected = sorted(bucket.uri(f"logs/{name}") for name in fine)
    assert pipeline.run(spark, settings).summary["books"]["flows"] == len(fine)
    assert sorted(row[0] for row in read_csv(tmp_path / "out", "files")[1:]) == expected


def test_both_readers_list_links_that_fan_out_once(spark, tmp_path):
    """25 levels with two links each to the next: 2^25 ways to the bottom."""
    for level in range(26):
        write(tmp_path / "logs" / f"{level:02}" / f"{level:02}.log", log(flow(443)))
    for level in range(25):
        for name in ("a", "b"):
            (tmp_path / "logs" / f"{level:02}" / name).symlink_to(tmp_path / "logs" / f"{level + 1:02}")
    (tmp_path / "logs" / "gone.log").symlink_to("nowhere")
    root = f"{tmp_path}/logs"
    expected = [f"{root}/{level:02}/{level:02}.log" for level in range(26)]
    direct, by_spark = (find_files(spark, [root], reader) for reader in READERS)
    assert [file.path for file in direct.files] == [*expected, f"{root}/gone.log"]
    assert by_spark.files == direct.files
    assert handed_over(by_spark) == expected


@pytest.mark.parametrize("reader", READERS)
def test_files_that_look_like_copies_are_counted_with_a_warning(spark, tmp_path, reader, caplog):
    logs = {name: log(flow(443)) for name in ("a.log", "a (1).log", "b/a (2).log")}
    assert run_job(spark, tmp_path, logs, reader=reader).summary["books"]["files"] == 3
    (message,) = [record.message for record in caplog.records if "look like copies" in record.message]
    assert message == (
        f"1 file(s) look like copies of others, and both are counted: {tmp_path}/logs/a (1).log beside a.log; "
        "remove those that should not count"
    )


def test_the_library_warns_of_what_was_not_searched(spark, tmp_path, caplog):
    write(tmp_path / key(MORNING), log(flow(443)))
    write(tmp_path / "README.txt", b"no log\n")
    with caplog.at_level(logging.WARNING):
        flowspark.read_flow_logs(spark, str(tmp_path), columns=["dstport"], interval="2026-11-22")
    assert f"the first: {tmp_path}/README.txt; give those that matter as an --input of their own" in caplog.text

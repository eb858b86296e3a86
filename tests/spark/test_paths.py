"""Paths on Databricks, and a disk that is not shared.

The stand-in for Databricks is a file system for `dbfs:` that leads to folders of this machine. Where Spark is given
`file:/Volumes/…`, or Python opens `/Volumes/…`, a test fails: there are no such folders here.
"""

from __future__ import annotations

import pytest

import flowspark
from flowspark import pipeline
from flowspark.errors import FlowsparkError
from flowspark.outputs import FILES, Output
from flowspark.settings import load_settings
from tests.logs import flow, log, write
from tests.spark.job import LOOKUP, read_part, run_job


@pytest.fixture
def databricks(spark, tmp_path, monkeypatch):
    """A session that knows `dbfs:/Volumes` and `dbfs:/mnt`, with logs and a lookup in both."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    spark.conf.set("fs.dbfs.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme")
    spark.conf.set("fs.dbfs.impl.disable.cache", "true")  # each test has folders of its own
    for place in ("Volumes", "mnt"):
        spark.conf.set(f"fs.viewfs.mounttable.default.link./{place}", f"file://{tmp_path}/{place}")
        write(tmp_path / place / "main" / "logs" / "a b.log", log(flow(443), flow(443), flow(53, 17)))
        write(tmp_path / place / "main" / "logs" / "x" / "b.log.gz", log(flow(1)), compress=True)
        write(tmp_path / place / "main" / "tags.csv", LOOKUP.encode())
    return spark


@pytest.mark.parametrize(
    ("given", "folder", "uri"),
    [
        ("/Volumes/main", "Volumes/main", "dbfs:/Volumes/main"),
        ("/dbfs/mnt/main", "mnt/main", "dbfs:/mnt/main"),
    ],
)
def test_volumes_and_dbfs_are_input_lookup_and_output(databricks, tmp_path, given, folder, uri):
    flags = {"input": [f"{given}/logs"], "lookup": f"{given}/tags.csv", "output": f"{given}/out"}
    summary = pipeline.run(databricks, load_settings(flags)).summary
    assert read_part(tmp_path / folder / "out", "tag_counts") == b"tag,count\nweb,2\nUntagged,1\ndns,1\n"
    assert summary["inputs"] == [f"{uri}/logs"]
    files = read_part(tmp_path / folder / "out", "files").decode().splitlines()[1:]
    assert [line.split(",")[0] for line in files] == [f"{uri}/logs/a b.log", f"{uri}/logs/x/b.log.gz"]


def test_the_library_takes_volumes_too(databricks):
    records = flowspark.read_flow_logs(databricks, "/Volumes/main/logs", columns=["dstport", "protocol", "log_status"])
    lookup = flowspark.load_lookup(databricks, "/Volumes/main/tags.csv")
    counts = records.transform(flowspark.tag_flows, lookup=lookup).transform(flowspark.count_tags).collect()
    assert sorted(tuple(row) for row in counts) == [("Untagged", 1), ("dns", 1), ("web", 2)]


def test_a_table_that_executors_wrote_to_another_disk_leaves_no_summary(spark, tmp_path, monkeypatch):
    publish = Output.publish

    def elsewhere(self: Output, name: str, *others) -> None:
        publish(self, name, *others)
        if name == FILES:  # an executor that joined late has a disk of its own
            for part in (tmp_path / "out" / name).rglob("part-*"):
                part.unlink()

    monkeypatch.setattr(Output, "publish", elsewhere)
    monkeypatch.setattr("flowspark.outputs.on_one_machine", lambda _: False)
    with pytest.raises(FlowsparkError, match=r"^executors have written files, and the driver does not see the files"):
        run_job(spark, tmp_path, {"a.log": log(flow(443))})
    assert not (tmp_path / "out" / "summary").exists()

"""The library: the functions of `import flowspark`, on records with all columns."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyspark
import pytest
from chispa import assert_df_equality
from chispa.schema_comparer import assert_schema_equality
from hypothesis import given, settings
from pyspark import TaskContext
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

import flowspark
from flowspark.decode.sources import listed_sources
from flowspark.errors import FlowsparkError, InputError, UsageError
from flowspark.fields import FIELDS
from flowspark.files import LogFile
from flowspark.scan import splits_frame
from tests import reference
from tests.logs import NODATA, V2, flow, log, write
from tests.strategies import contents

ROOT = Path(__file__).parent.parent.parent
V2_SCHEMA = (
    "version int, account_id string, interface_id string, srcaddr string, dstaddr string, srcport int, dstport int, "
    "protocol int, packets bigint, bytes bigint, start bigint, end bigint, action string, log_status string"
)


def test_the_package_exports_the_documented_functions():
    assert flowspark.__all__ == sorted(flowspark.__all__)
    assert {
        "read_flow_logs", "load_lookup", "tag_flows", "count_tags", "count_port_protocols", "flow_log_schema",
    } <= set(flowspark.__all__)  # fmt: skip
    assert all(callable(getattr(flowspark, name)) for name in flowspark.__all__)
    with pytest.raises(AttributeError, match="no attribute 'read_flows'"):
        _ = flowspark.read_flows


def test_the_versioned_schema(spark):
    assert_schema_equality(flowspark.flow_log_schema(2), spark.createDataFrame([], V2_SCHEMA).schema)
    sizes = {2: 14, 3: 21, 4: 25, 5: 29, 6: 36, 7: 39, 8: 40, 9: 41, 10: 42, 11: 54, None: 72}
    assert {version: len(flowspark.flow_log_schema(version)) for version in sizes} == sizes
    assert flowspark.flow_log_schema(6)["protocol"].dataType.simpleString() == "int"
    with pytest.raises(UsageError, match="no flow log version 12; the versions are 2, 3, 4, 5, 6"):
        flowspark.flow_log_schema(12)


def test_records_have_all_columns_typed(spark, tmp_path):
    path = write(tmp_path / "a.log", log(flow(443), NODATA, "bad"))
    df = flowspark.read_flow_logs(spark, str(path))
    assert df.schema.names == [*flowspark.flow_log_schema().names, "unknown_fields"]
    first = (
        "2",
        "123456789010",
        "eni-0a1b2c3d",
        "10.0.0.1",
        "10.0.0.2",
        49152,
        443,
        6,
        10,
        840,
        1700000000,
        1700000060,
    )
    expected = [
        (2, *first[1:], "ACCEPT", "OK"),
        (2, *first[1:3], None, None, None, None, None, None, None, *first[10:], None, "NODATA"),
    ]
    columns = flowspark.flow_log_schema(2).names
    assert_df_equality(df.select(columns), spark.createDataFrame(expected, V2_SCHEMA))
    others = [name for name in df.columns if name not in columns]
    assert [set(row) for row in df.select(others).collect()] == [{None}, {None}]


def test_different_layouts_side_by_side_keep_their_columns_apart(spark, tmp_path):
    write(tmp_path / "logs" / "a.log", log(flow(443)))
    write(
        tmp_path / "logs" / "b.log",
        log("17 0123 OK 53 v1 - 18", header="protocol account-id log-status dstport new-field other-field tcp-flags"),
        compress=True,
    )
    write(
        tmp_path / "logs" / "tgw.log",
        log("6 tgw-1 22 6 OK 3", header="version tgw-id dstport protocol log-status packets-lost-blackhole"),
    )
    df = flowspark.read_flow_logs(spark, str(tmp_path / "logs"))
    columns = ["dstport", "protocol", "account_id", "tcp_flags", "tgw_id", "packets_lost_blackhole", "unknown_fields"]
    assert sorted(tuple(row) for row in df.select(columns).collect()) == [
        (22, 6, None, None, "tgw-1", 3, None),
        (53, 17, "0123", 18, None, None, {"new-field": "v1", "other-field": None}),
        (443, 6, "123456789010", None, None, None, None),
    ]
    named = flowspark.read_flow_logs(spark, str(tmp_path / "logs"), columns=["new_field", "dstport"])
    assert sorted(named.collect(), key=lambda row: row["dstport"]) == [(None, 22), ("v1", 53), (None, 443)]


def test_pruning_reaches_the_decoder(spark, tmp_path):
    path = str(write(tmp_path / "a.log", log(flow(443).replace("840", "many"), flow(53))))
    assert flowspark.read_flow_logs(spark, path, columns=["dstport"]).count() == 2  # bytes is not looked at
    assert flowspark.read_flow_logs(spark, path, columns=["dstport", "bytes"]).collect() == [(53, 840)]


def test_records_tell_their_file_and_line_and_rejects_are_rows_when_asked_for(spark, tmp_path):
    path = str(write(tmp_path / "a.log", log(flow(443), "", "bad line", flow("x"), flow(53))))
    df = flowspark.read_flow_logs(spark, [path], columns=["file", "line", "dstport", "rejected"])
    assert sorted(df.collect(), key=lambda row: row["line"]) == [
        (path, 2, 443, None),
        (path, 4, None, ("field_count", "bad line")),
        (path, 5, None, ("bad_number", flow("x"))),
        (path, 6, 53, None),
    ]


@settings(max_examples=8)
@given(content=contents())
def test_any_file_reads_as_the_reference_reads_it(_spark, tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("logs") / "a.log", content)
    try:
        expected = reference.read(content, columns=tuple(FIELDS))
    except reference.Bad:
        with pytest.raises(Exception, match="BadFile"):  # Spark wraps what a worker raises in an error of its own
            flowspark.read_flow_logs(_spark, str(path)).collect()
        assert flowspark.read_flow_logs(_spark, str(path), on_bad_file="skip").count() == 0
        return
    df = flowspark.read_flow_logs(_spark, str(path), columns=["line", *flowspark.flow_log_schema().names])
    found = [{k: v for k, v in row.asDict().items() if v is not None} for row in df.collect()]
    wanted = [
        {k.replace("-", "_"): v for k, v in record.items() if v is not None and (k == "line" or k in FIELDS)}
        for record in expected.records
    ]
    assert sorted(found, key=lambda row: row["line"]) == wanted


def test_both_readers_give_the_same_records(spark, tmp_path):
    for name in ("a b.log", "c%20d.log", "e+f=g.log", "ü.log", "[x].log", "_hidden.log", "empty.log", "sub/{y}*.log"):
        write(tmp_path / "logs" / name, b"" if name == "empty.log" else log(flow(443), flow(len(name))))
    frames = [
        flowspark.read_flow_logs(spark, str(tmp_path / "logs"), columns=["file", "line", "dstport"], reader=reader)
        for reader in ("direct", "spark")
    ]
    assert frames[0].count() == 12
    assert_df_equality(*frames, ignore_row_order=True)


def test_a_transform_chain_counts_what_the_job_counts(ansi_spark, tmp_path):
    path = str(write(tmp_path / "a.log", log(flow(443), flow(443), flow(53, 17), flow(9), NODATA, flow(443, 6, "NODATA"))))
    lookup = flowspark.load_lookup(
        ansi_spark, str(write(tmp_path / "l.csv", b"dstport,protocol,tag\n443,tcp,web\n443,6,tls\n53,udp,dns\n"))
    )
    assert lookup.schema.simpleString() == "struct<dstport:int,protocol:int,tag:string>"
    records = flowspark.read_flow_logs(ansi_spark, path, columns=["dstport", "protocol", "log_status"])
    tagged = records.transform(flowspark.tag_flows, lookup=lookup)
    assert tagged.schema.names == ["dstport", "protocol", "log_status", "tag"]
    assert tagged.where(F.col("tag").isNull()).count() == 2  # NODATA is no flow, and has no tag
    assert_df_equality(
        tagged.transform(flowspark.count_tags),
        ansi_spark.createDataFrame([("web", 2), ("tls", 2), ("dns", 1), ("Untagged", 1)], "tag string, count bigint"),
        ignore_row_order=True,
        ignore_nullable=True,
    )
    assert_df_equality(
        records.transform(flowspark.count_port_protocols),
        ansi_spark.createDataFrame(
            [(443, "tcp", 2), (53, "udp", 1), (9, "tcp", 1)], "dstport int, protocol string, count bigint"
        ),
        ignore_row_order=True,
        ignore_nullable=True,
    )


def _with_task(batches):
    task = TaskContext.get().partitionId()
    for batch in batches:
        yield pa.record_batch([pa.repeat(pa.scalar(task, pa.int32()), len(batch)), batch.column(0)], ["task", "files"])


@pytest.mark.parametrize("many", [1, 2, 7, 40])
def test_each_task_gets_one_split_and_the_first_task_the_heaviest(spark, many):
    files = [LogFile(f"/logs/{number:02}.log", (2000 + number) << 20) for number in range(many)]
    rows = sorted(splits_frame(spark, files).mapInArrow(_with_task, "task int, files binary").collect())
    assert len({row["task"] for row in rows}) == len(rows) == many
    batch = pa.record_batch([pa.array([row["files"] for row in rows], pa.binary())], names=["files"])
    assert [source.size for source in listed_sources([batch])] == sorted((file.size for file in files), reverse=True)


def test_wrong_use_is_told(spark, tmp_path):
    path = str(write(tmp_path / "a.log", log(flow())))
    lookup = spark.createDataFrame([(443, 6, "web")], "dstport int, protocol int, tag string")
    records = flowspark.read_flow_logs(spark, path, columns=["dstport", "protocol"])
    with pytest.raises(UsageError, match="log_status are needed; there are: dstport, protocol"):
        flowspark.tag_flows(records, lookup)
    tagged = flowspark.tag_flows(flowspark.read_flow_logs(spark, path), lookup)
    with pytest.raises(UsageError, match="have a column tag already"):
        flowspark.tag_flows(tagged, lookup)
    with pytest.raises(UsageError, match="before tag_flows"):
        flowspark.count_port_protocols(tagged)
    with pytest.raises(UsageError, match="tag are needed"):
        flowspark.count_tags(records)
    with pytest.raises(UsageError, match="'fail' or 'skip'"):
        flowspark.read_flow_logs(spark, path, on_bad_file="ignore")
    with pytest.raises(UsageError, match="columns named twice: dstport"):
        flowspark.read_flow_logs(spark, path, columns=["dstport", "dstport"])
    with pytest.raises(UsageError, match="did you mean direct"):
        flowspark.read_flow_logs(spark, path, reader="directly")
    with pytest.raises(InputError, match="does not exist"):
        flowspark.read_flow_logs(spark, str(tmp_path / "none"))
    with pytest.raises(InputError, match="does not exist"):
        flowspark.read_flow_logs(spark, str(tmp_path / "none"), reader="spark")
    with pytest.raises(InputError, match="is a folder"):
        flowspark.load_lookup(spark, str(tmp_path))
    assert issubclass(InputError, FlowsparkError)


def test_a_bad_file_fails_the_query_that_reads_it_and_names_it(spark, tmp_path):
    path = write(tmp_path / "cut.log.gz", gzip.compress(log(*[flow()] * 99))[:-9])
    with pytest.raises(Exception, match=r"BadFile: .*cut\.log\.gz: the gzip ends too early"):  # wrapped by Spark
        flowspark.read_flow_logs(spark, str(path)).count()
    assert flowspark.read_flow_logs(spark, str(path), on_bad_file="skip").count() == 0


def test_a_file_that_is_gone_fails_the_query_of_sparks_reader_too(spark, tmp_path):
    for fault in ("Missing", "Corrupt"):
        spark.conf.set(f"spark.sql.files.ignore{fault}Files", "true")  # as a platform may have it
    for name in "abc":
        write(tmp_path / "logs" / f"{name}.log", log(flow(443), flow(22)))
    write(tmp_path / "logs" / "empty.log", b"")
    failing, skipping = (
        flowspark.read_flow_logs(spark, str(tmp_path / "logs"), columns=["dstport"], reader="spark", on_bad_file=choice)
        for choice in ("fail", "skip")
    )
    assert (failing.count(), skipping.count()) == (6, 6)
    (tmp_path / "logs" / "b.log").unlink()
    with pytest.raises(Exception, match=r"logs/b\.log"):
        failing.count()
    assert skipping.count() == 4


def test_a_file_of_a_name_that_spark_passes_over_fails_the_query_of_its_reader(spark, tmp_path):
    write(tmp_path / "logs" / "a.log", log(flow(443)))
    write(tmp_path / "logs" / "b.log._COPYING_", log(flow(22)))
    assert flowspark.read_flow_logs(spark, tmp_path / "logs", reader="direct").count() == 2
    with pytest.raises(InputError, match=r"b\.log\._COPYING_: Spark has no row for this file"):
        flowspark.read_flow_logs(spark, tmp_path / "logs", reader="spark")


def test_a_link_to_nothing_fails_the_query_of_either_reader(spark, tmp_path):
    write(tmp_path / "logs" / "a.log", log(flow(443)))
    (tmp_path / "logs" / "b.log").symlink_to(tmp_path / "nothing")
    for reader in ("direct", "spark"):
        with pytest.raises(Exception, match=r"b\.log: a link to a file that is not there"):
            flowspark.read_flow_logs(spark, tmp_path / "logs", reader=reader).count()
        assert flowspark.read_flow_logs(spark, tmp_path / "logs", reader=reader, on_bad_file="skip").count() == 1


def test_paths_and_single_values_are_taken_as_they_come(spark, tmp_path):
    path = write(tmp_path / "a.log", log(flow(443)))
    other = write(tmp_path / "b.log", log(flow(22)))
    assert flowspark.read_flow_logs(spark, path, columns="dstport").collect() == [(443,)]
    both = flowspark.read_flow_logs(spark, (p for p in [path, str(other)]), columns=("dstport",), reader="spark")
    assert sorted(both.collect()) == [(22,), (443,)]
    lookup = write(tmp_path / "l.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    assert flowspark.load_lookup(spark, lookup).collect() == [(443, 6, "web")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": None}, "inputs is None; give a path or URI, or a list of such"),
        ({"inputs": b"logs"}, "inputs is b'logs'; give"),
        ({"inputs": 7}, "inputs is 7; give"),
        ({"inputs": []}, "inputs is empty; give a path or URI"),
        ({"inputs": ""}, "inputs has '', which is not a path or URI"),
        ({"inputs": ["logs", None]}, "inputs has None, which is not a path or URI"),
        ({"columns": [1]}, "columns has 1, which is not a column name"),
        ({"columns": []}, "columns is empty; give a column name"),
        ({"columns": [""]}, "columns has '', which"),
        ({"columns": 5}, "columns is 5; give a column name"),
        ({"interval": ""}, "interval has '', which is not a text"),
        ({"interval": 20261122}, "interval has 20261122, which is not a text"),
        ({"layout": ""}, "layout has '', which is not a text"),
        ({"layout": ["v2"]}, "layout has ['v2'], which"),
        ({"reader": None}, "reader has None"),
        ({"accounts": ""}, "accounts has '', which is not a text"),
        ({"accounts": [""]}, "accounts has '', which is not a text"),
        ({"accounts": [123456789010]}, "accounts has 123456789010, which is not a text"),
        ({"regions": "eu-west-1"}, "region 'eu-west-1' is one text; give a list"),
        ({"on_bad_file": None}, "on_bad_file is 'fail' or 'skip', not 'None'"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(wrong, message):
    with pytest.raises(UsageError, match="^" + re.escape(message)):
        flowspark.read_flow_logs(None, **({"inputs": "logs"} | wrong))


WITHOUT_FLOWSPARK = """
import sys, flowspark
from flowspark import scan, splits
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
for reader in ("direct", "spark"):
    try:
        flowspark.read_flow_logs(spark, sys.argv[1], reader=reader).count()
    except Exception as error:
        print(reader, "RuntimeError: flowspark is missing on a worker; ship the zip" in str(error))
splits._UNCUT, splits._RANGE, splits._EVEN = 1000, 300, 0
try:
    flowspark.read_flow_logs(spark, sys.argv[1]).count()
except Exception as error:
    print("survey", "RuntimeError: flowspark is missing on a worker; ship the zip" in str(error))
"""


@pytest.mark.newest
def test_a_worker_without_flowspark_is_told(tmp_path):
    """The driver has the package on its own path alone, as a notebook may; the workers' interpreter does not."""
    path = write(tmp_path / "a.log", log(*[flow(443)] * 50))
    spark_python = Path(pyspark.__file__).parent.parent
    worker = write(tmp_path / "python", f'#!/bin/sh\nPYTHONPATH={spark_python} exec {sys.executable} "$@"\n'.encode())
    worker.chmod(0o755)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{WITHOUT_FLOWSPARK}"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYSPARK_PYTHON")}
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=clean | {"PYSPARK_PYTHON": str(worker), "PYSPARK_DRIVER_PYTHON": sys.executable},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines() == ["direct True", "spark True", "survey True"], run.stderr[-3000:]


def test_a_column_that_is_close_to_a_known_one_is_warned_of(spark, tmp_path, caplog):
    path = str(write(tmp_path / "a.log", log(flow())))
    assert flowspark.read_flow_logs(spark, path, columns=["dstprt"]).collect() == [(None,)]
    assert "dstprt is not a known field (did you mean dstport?)" in caplog.text


def test_a_layout_can_be_given(spark, tmp_path):
    path = str(write(tmp_path / "a.log", log("OK 443 6", header=None)))
    df = flowspark.read_flow_logs(spark, path, layout="${log-status} dstport protocol", columns=["dstport", "log_status"])
    assert df.collect() == [(443, "OK")]
    assert len(V2.split()) == 14

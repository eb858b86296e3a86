"""What Spark does on S3 with the settings of conf/spark-s3.conf."""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowspark.session import s3_confs
from tests.logs import flow, log, write
from tests.quick_java import JAVA
from tests.s3_server import CREDENTIALS, ROOT, S3_CONF, s3_jars

SCHEMES = ("s3", "s3a")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
def test_files_are_written_by_the_magic_committer_and_nothing_is_copied(spark, bucket, proxy, file_format, scheme):
    writer = spark.range(10).repartition(2).write.format(file_format)
    writer.save(bucket.uri("out", scheme))
    writer.mode("overwrite").save(bucket.uri("out", scheme))

    marker, success, *parts = bucket.keys("out/")  # S3A keeps an empty object for a folder that was made
    assert (marker, success) == ("out/", "out/_SUCCESS")
    assert [key[:11] for key in parts] == ["out/part-00", "out/part-00"]
    assert json.loads(bucket.get("out/_SUCCESS"))["committer"] == "magic"
    assert proxy.count("CopyObject") == 0
    assert proxy.count("CompleteMultipartUpload") == 4
    assert bucket.uploads() == []
    read = spark.read.schema("id bigint").format(file_format).load(bucket.uri("out", scheme))
    assert sorted(row.id for row in read.collect()) == list(range(10))


def test_a_broken_connection_and_a_slow_down_cost_time_and_no_bytes(spark, bucket, proxy):
    content = random.Random(1).randbytes(3 << 20)
    bucket.put("a.log", content)
    proxy.fail("ListObjects", times=1)
    proxy.fail("HeadObject", times=1, status=500)
    proxy.fail("GetObject", times=2)
    proxy.cut("GetObject", times=2)
    (row,) = spark.read.format("binaryFile").load(bucket.uri("a.log")).collect()
    assert bytes(row.content) == content
    assert proxy.count("GetObject") == 5


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_for_good_is_given_up_and_the_object_named(spark, bucket, proxy, status):
    bucket.put("a.log", b"x")
    frame = spark.read.format("binaryFile").load(bucket.uri("a.log"))
    proxy.fail("GetObject", status=status)
    started = time.monotonic()
    with pytest.raises(Exception, match=f"{bucket.name}/a.log"):
        frame.collect()
    assert time.monotonic() - started < 45
    assert 8 <= proxy.count("GetObject") <= 12


def test_spark_is_told_of_the_endpoint_that_the_environment_names():
    assert s3_confs({}) == {}
    confs = s3_confs(
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    )
    assert confs["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert confs["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"
    assert not [value for value in confs.values() if value in ("key", "secret")]


@pytest.mark.parametrize("launcher", ["python", "spark-submit"])
def test_the_command_works_from_bucket_to_bucket_with_credentials_where_awss_tools_look(bucket, proxy, tmp_path, launcher):
    bucket.put("logs/a.log", log(flow(443), flow(443), flow(53, 17)))
    bucket.put("tags.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    environment = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    jars = ",".join(f"local:{path}" for path in s3_jars().split(","))  # Spark copies others, hundreds of MB of them
    flags = ["--properties-file", str(S3_CONF), "--jars", jars]
    if launcher == "python":
        profile = write(tmp_path / "aws", b"[night]\naws_access_key_id = the-key\naws_secret_access_key = the-secret\n")
        environment |= {"AWS_PROFILE": "night", "AWS_SHARED_CREDENTIALS_FILE": str(profile)}
        environment |= {"AWS_CREDENTIAL_PROFILES_FILE": str(profile)}  # the same, for the AWS SDK of Spark 3.5
        environment |= {"PYSPARK_SUBMIT_ARGS": f"{shlex.join(flags)} pyspark-shell"}
        command = [sys.executable]
    else:
        environment |= {"AWS_ACCESS_KEY_ID": "the-key", "AWS_SECRET_ACCESS_KEY": "the-secret"}
        command = ["spark-submit", "--master", "local[2]", "--conf", "spark.ui.enabled=false", *flags]
        command += ["--driver-java-options", JAVA]
    command += [str(ROOT / "jobs" / "tag_flows.py"), "--input", bucket.uri("logs"), "--lookup", bucket.uri("tags.csv")]
    command += ["--output", bucket.uri("out", "s3a")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)

    assert run.returncode == 0, run.stderr[-3000:]
    (part,) = [key for key in bucket.keys("out/tag_counts/interval=all/") if "/part-" in key]
    assert bucket.get(part) == b"tag,count\nweb,2\nUntagged,1\n"
    assert json.loads(bucket.get("out/tag_counts/interval=all/_SUCCESS"))["committer"] == "magic"
    assert {"Credential=the-key/" in request.headers.get("authorization", "") for request in proxy.requests} == {True}
    assert not [text for text in (run.stdout, run.stderr) if "the-key" in text or "the-secret" in text]

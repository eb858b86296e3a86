"""What Spark does on S3 with the settings of conf/spark-s3.conf."""

from __future__ import annotations

import json

import pytest

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

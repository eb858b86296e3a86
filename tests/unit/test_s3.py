"""Which S3 server the environment names."""

from __future__ import annotations

import pytest

from flowspark.errors import cause
from flowspark.s3 import Endpoint, s3_endpoint

ANY, S3 = "http://any:1", "http://s3:2"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AWS_REGION": "eu-west-1"}, None),
        ({"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""}, None),
        ({"AWS_ENDPOINT_URL": ANY}, Endpoint(ANY, "us-east-1")),
        ({"AWS_ENDPOINT_URL": ANY, "AWS_ENDPOINT_URL_S3": S3}, Endpoint(S3, "us-east-1")),
        ({"AWS_ENDPOINT_URL_S3": S3, "AWS_DEFAULT_REGION": "eu-west-2"}, Endpoint(S3, "eu-west-2")),
        (
            {"AWS_ENDPOINT_URL": ANY, "AWS_DEFAULT_REGION": "eu-west-2", "AWS_REGION": "eu-west-1"},
            Endpoint(ANY, "eu-west-1"),
        ),
    ],
)
def test_the_endpoint_is_the_one_that_awss_own_tools_would_take(environment, expected):
    assert s3_endpoint(environment) == expected


@pytest.mark.parametrize(
    "said",
    [
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"',
        "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
    ],
)
def test_a_spark_that_knows_no_s3_is_told_what_it_needs(said):
    told = cause(RuntimeError(f"An error occurred while calling o42.load.\n: {said}\n\tat org.apache.spark.Whatever"))
    assert told == f"{said}; Spark has no support for S3 here: give it the jars of scripts/jars and conf/spark-s3.conf"

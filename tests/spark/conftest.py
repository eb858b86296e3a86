"""One real Spark for all tests, and for each test a session of its own: nothing that one sets reaches another.

It knows S3: the jars of scripts/jars, the settings of conf/spark-s3.conf, and a server on loopback behind a proxy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from flowspark.session import s3_confs
from tests.s3_proxy import Proxy, s3_proxy
from tests.s3_server import CREDENTIALS, S3_CONF, Bucket, s3_jars, s3_server

CONFS = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",  # the data are tiny: 200 tasks would be all the time that a test takes
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # a short life: no second compiler
}


def properties(path: Path) -> dict[str, str]:
    """The settings in a properties file, as spark-submit reads them."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="session")
def _proxy() -> Iterator[Proxy]:
    """The S3 endpoint of all tests; the environment names it, for Spark, for its Python workers and for new processes."""
    with s3_proxy() as proxy, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": proxy.url}).items():
            patch.setenv(name, value)
        yield proxy


@pytest.fixture(scope="session")
def _server(_proxy: Proxy) -> Iterator[tuple[str, int]]:
    with s3_server() as address:
        _proxy.upstream = address
        yield address


@pytest.fixture
def bucket(_server: tuple[str, int]) -> Bucket:
    """A new bucket on the S3 server."""
    return Bucket(_server)


@pytest.fixture
def proxy(_proxy: Proxy) -> Iterator[Proxy]:
    """What lies between the code under test and the S3 server: it counts the requests, and spoils them when told to."""
    _proxy.clear()
    yield _proxy
    _proxy.clear()


@pytest.fixture(scope="session")
def _spark(_proxy: Proxy) -> Iterator[SparkSession]:
    builder = SparkSession.builder.appName("flowspark tests")
    # on the class path, and not in spark.jars: those are copied, some hundred MB of them, when the first task starts
    jars = {"spark.driver.extraClassPath": s3_jars().replace(",", ":")}
    for name, value in (CONFS | properties(S3_CONF) | s3_confs(os.environ) | jars).items():
        builder = builder.config(name, value)
    spark = builder.config("spark.executorEnv.PYSPARK_PYTHON", sys.executable).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    yield spark
    spark.stop()


@pytest.fixture
def spark(_spark: SparkSession) -> SparkSession:
    """A session with its own confs and views."""
    return _spark.newSession()


@pytest.fixture(params=["true", "false"], ids=["ansi", "no-ansi"])
def ansi_spark(spark: SparkSession, request: pytest.FixtureRequest) -> SparkSession:
    """The session with ANSI mode on (Spark 4's default) and off (3.5's)."""
    spark.conf.set("spark.sql.ansi.enabled", request.param)
    return spark

"""One real Spark for all tests, and for each test a session of its own: nothing that one sets reaches another."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

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


@pytest.fixture(scope="session")
def _spark() -> Iterator[SparkSession]:
    builder = SparkSession.builder.appName("flowspark tests")
    for name, value in CONFS.items():
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

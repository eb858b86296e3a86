"""One real Spark for all tests, and for each test a session of its own: nothing that one sets reaches another.

It knows S3: the jars of scripts/jars, the settings of conf/spark-s3.conf, and the server of tests/conftest.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pyspark
import pytest
from pyspark.sql import SparkSession

from flowspark.session import s3_confs
from tests.s3_proxy import Proxy
from tests.s3_server import s3_jars, s3_properties

CONFS = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",  # the data are tiny: 200 tasks would be all the time that a test takes
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    # hundreds of small plans would each cost a compilation; the tests of the command have Spark's own choice
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # a short life: no second compiler
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests that need no older Spark (marked `newest`)."""
    if pyspark.__version__.startswith("4."):
        return
    left_out = [item for item in items if item.get_closest_marker("newest")]
    items[:] = [item for item in items if not item.get_closest_marker("newest")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def _spark(_proxy: Proxy) -> Iterator[SparkSession]:
    builder = SparkSession.builder.appName("flowspark tests")
    # on the class path, and not in spark.jars: those are copied, some hundred MB of them, when the first task starts
    jars = {"spark.driver.extraClassPath": s3_jars().replace(",", ":")}
    for name, value in (CONFS | s3_properties() | s3_confs(os.environ) | jars).items():
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

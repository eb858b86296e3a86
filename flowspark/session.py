"""The Spark session of a run: the platform's own where there is one, else a local one, quick to start and quiet."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from flowspark.archive import ClassArchive
from flowspark.errors import FlowsparkError
from flowspark.s3 import s3_endpoint

try:
    from py4j.protocol import Py4JError
except ModuleNotFoundError:  # the client of Spark Connect comes without it
    SPARK_ERRORS: tuple[type[Exception], ...] = (PySparkException,)
else:
    SPARK_ERRORS = (PySparkException, Py4JError)

if TYPE_CHECKING:
    import pyarrow as pa

_LOCAL = {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",  # nobody looks at it, and it takes a second to start
    "spark.sql.shuffle.partitions": "4",  # what is shuffled are tallies, a few MB
    "spark.sql.catalogImplementation": "in-memory",  # no Hive
    "spark.sql.adaptive.enabled": "false",  # nothing to adapt: it plans again after every shuffle of those few MB
    # a person's credentials are in a profile as a rule, where S3A alone does not look; this is all of the AWS SDK's chain,
    # of the SDK that goes with the Hadoop in Spark's wheel
    "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain"
    if pyspark.__version__.startswith("3.")
    else "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
}

# a short run ends before the JVM's second compiler and its parallel collector pay for themselves
_LOCAL_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@contextmanager
def spark_session(*, debug: bool) -> Iterator[SparkSession]:
    """The session; one that was there before (Databricks, a notebook) stays, one that is made here is stopped.

    Raises:
        FlowsparkError: something that Spark needs on the driver is missing.
    """
    if find_spec("pandas") is None:
        raise FlowsparkError("pandas is missing on the driver, and Spark's mapInArrow needs it; pip install pandas")
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    local = "PYSPARK_GATEWAY_PORT" not in os.environ and "SPARK_REMOTE" not in os.environ  # else Java is there already
    archive = ClassArchive(Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)) if local else None
    Thread(target=import_module, args=("pandas",), daemon=True).start()  # Spark needs it in a moment; Java starts meanwhile
    spark = _create(f"{_LOCAL_JAVA} {archive.options}" if archive else None, debug=debug)
    try:
        yield spark
    finally:
        spark.stop()
        if archive:
            archive.keep(spark.sparkContext._gateway.proc)  # type: ignore[union-attr]  # pyspark sets it beside its class


def local_frame(spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> DataFrame:
    """A DataFrame of rows that the driver has: as Arrow where Spark can (4 and later), which starts no Python worker."""
    import pyarrow as pa  # not above: Java is to start before this is imported

    if pyspark.__version__.startswith("3."):
        from pyspark.sql.pandas.types import from_arrow_schema

        return spark.createDataFrame(rows, from_arrow_schema(schema), verifySchema=False)
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=schema))


def s3_confs(environment: Mapping[str, str]) -> dict[str, str]:
    """What Spark must be told about an S3 server that is not Amazon's; nothing where the environment names none.

    Everything else that S3 needs, credentials' places among it, is in conf/spark-s3.conf.
    """
    endpoint = s3_endpoint(environment)
    if endpoint is None:
        return {}
    return {
        "spark.hadoop.fs.s3a.endpoint": endpoint.url,
        "spark.hadoop.fs.s3a.endpoint.region": endpoint.region,  # newer S3A insists on one beside an endpoint
        "spark.hadoop.fs.s3a.path.style.access": "true",  # or a bucket would be a host name
        # Spark hands no environment on to executors, and the direct reader opens files there
        "spark.executorEnv.AWS_ENDPOINT_URL_S3": endpoint.url,
        "spark.executorEnv.AWS_REGION": endpoint.region,
    }


def _create(java_options: str | None, *, debug: bool) -> SparkSession:
    """A session; with options for Java it is a local one."""
    builder = SparkSession.builder.appName("flowspark")
    if java_options is not None:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for name, value in (_LOCAL | {"spark.driver.extraJavaOptions": java_options}).items():
            builder = builder.config(name, value)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers need this environment's pyarrow
    builder = builder.config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    home = Path(__file__).parent.parent
    if home.is_dir():
        # from a clone the package is on the driver's path alone; a folder that an executor does not have does no harm
        builder = builder.config("spark.executorEnv.PYTHONPATH", str(home))
    if "SPARK_REMOTE" not in os.environ:
        for name, value in s3_confs(os.environ).items():
            builder = builder.config(name, value)
    spark = builder.getOrCreate()
    if not debug and hasattr(spark, "sparkContext"):
        # what goes wrong is told in one message; Java's own account of it comes with --log-level DEBUG
        spark.sparkContext.setLogLevel("OFF")
        logging.getLogger("py4j").setLevel(logging.CRITICAL)
    return spark

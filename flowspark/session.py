"""The Spark session of a run: the platform's own, or else a new one. A local session starts quickly and is quiet.

Whatever a person or a platform has set stays. On a master that is not local, the log level, the interpreter and the
environment of the executors belong to the cluster. In local mode our defaults apply where nothing is set.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from flowspark.connect import connect, disconnect, is_connect, wants_connect
from flowspark.errors import MORE_MEMORY, FlowsparkError
from flowspark.files import on_databricks
from flowspark.java import conf_dir, is_local, launch_settings, launches_local
from flowspark.requirements import check_driver
from flowspark.s3 import s3_endpoint

log = logging.getLogger(__name__)

# What Spark says about data, a path or a query. Py4J's other errors mean that Java itself is gone, and blame no input.
SPARK_ERRORS: tuple[type[Exception], ...]
_NO_ANSWER: tuple[type[Exception], ...]
try:
    from py4j.protocol import Py4JError, Py4JJavaError
except ModuleNotFoundError:  # the client of Spark Connect comes without it
    SPARK_ERRORS, _NO_ANSWER = (PySparkException,), ()
else:
    SPARK_ERRORS, _NO_ANSWER = (PySparkException, Py4JJavaError), (Py4JError, ConnectionError)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkConf

_LOCAL = {
    "spark.ui.enabled": "false",  # nobody looks at it, and it takes a second to start
    "spark.sql.shuffle.partitions": "4",  # what is shuffled are tallies, a few MB
    "spark.sql.adaptive.enabled": "false",  # nothing to adapt: it plans again after every shuffle of those few MB
    # a person's credentials are usually in a profile, where S3A itself does not look; this is the AWS SDK's whole chain (of
    # the SDK's version that goes with the Hadoop in Spark's wheel)
    "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain"
    if pyspark.__version__.startswith("3.")
    else "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
}

_JAVA_DIED = (
    "Java, which runs Spark, has died during the run: it was killed, ran out of memory, or crashed. The usual reasons are "
    "a container's memory limit or the kernel's out-of-memory killer (see the container's events and the kernel's log), "
    "too little memory for Java, and a crash (look for hs_err_pid*.log in the working directory). Free memory, or "
    f"{MORE_MEMORY}, and run again"
)
_NO_JAVA = (
    "Java, which runs Spark, could not be started, or was killed before Spark was ready. Java's own message, if it left "
    "one, stands above. Spark needs memory, and Java 17 or later (Spark 3.5: 8, 11 or 17) on the PATH or in JAVA_HOME"
)


@contextmanager
def spark_session(*, debug: bool) -> Iterator[SparkSession]:
    """Yields a session. One that was there before, and the one of Databricks, stays; one that is made here is stopped.

    Args:
        debug: leaves Spark's own log as it is, in local mode too.

    Raises:
        FlowsparkError: a package that a run needs is missing on the driver or too old, or Java could not start or has died.
    """
    check_driver()
    active = SparkSession.getActiveSession()
    given = active or (SparkSession.builder.getOrCreate() if on_databricks() else None)
    spark = given or _create(debug=debug)
    try:
        yield spark
    except Exception as error:
        if _java_is_gone(spark):  # then this is the reason, whatever the error says
            raise FlowsparkError(_JAVA_DIED) from error
        raise
    finally:
        if given is None:
            _stop(spark)


def local_frame(spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> DataFrame:
    """A DataFrame of rows that the driver has: as Arrow where Spark can (4 and later), which starts no Python worker."""
    import pyarrow as pa  # not at the top: Java starts first

    if pyspark.__version__.startswith("3."):
        from pyspark.sql.pandas.types import from_arrow_schema

        unchecked = {} if is_connect(spark) else {"verifySchema": False}  # Connect has no such check
        return spark.createDataFrame(rows, from_arrow_schema(schema), **unchecked)
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=schema))


def s3_confs(environment: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings for an S3 server that is not Amazon's; empty if the environment names none.

    All other settings for S3, such as where credentials are looked for, are in conf/spark-s3.conf.
    """
    endpoint = s3_endpoint(environment)
    if endpoint is None:
        return {}
    return {
        "spark.hadoop.fs.s3a.endpoint": endpoint.url,
        "spark.hadoop.fs.s3a.endpoint.region": endpoint.region,  # newer S3A requires a region with an endpoint
        "spark.hadoop.fs.s3a.path.style.access": "true",  # otherwise the bucket would be part of the host name
    }


def _create(*, debug: bool) -> SparkSession:
    """A new session, with our defaults where its master is local.

    Raises:
        FlowsparkError: Java could not be started, or was killed meanwhile.
    """
    if wants_connect(os.environ):
        return connect()
    try:
        conf = _start_java()
        spark = SparkSession.builder.config(map={**_defaults(conf)}).getOrCreate()
        if not debug:  # an error is told in one message; what Spark says of it is shown with --log-level DEBUG
            if is_local(conf.get("spark.master", "")) and not _has_log_settings(conf):
                spark.sparkContext.setLogLevel("OFF")
            # this thread of pyspark's prints a trace of its own when Java dies
            spark.sparkContext._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]
    except _NO_ANSWER as error:
        if isinstance(error, SPARK_ERRORS):  # Java is there, and refuses a setting
            raise
        raise FlowsparkError(_NO_JAVA) from error
    return spark


def _start_java() -> SparkConf:
    """Starts Java, unless spark-submit has, and returns all settings that a person or a platform has made.

    Raises:
        FlowsparkError: Java could not be started.
    """
    from pyspark import SparkConf, SparkContext

    options = SparkConf(loadDefaults=False)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        if launches_local(os.environ):
            options.setAll(list(launch_settings(os.environ).items()))
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        Thread(target=import_module, args=("pandas",), daemon=True).start()  # Spark needs it soon; Java starts meanwhile
    try:
        # only a running Java reads spark-defaults.conf and PYSPARK_SUBMIT_ARGS as Spark does; no public call just starts it
        SparkContext._ensure_initialized(conf=options)
    except PySparkException as error:
        raise FlowsparkError(_NO_JAVA) from error
    return SparkConf()


def _defaults(conf: SparkConf) -> dict[str, str]:
    """What a new session gets in addition to the settings that a person or a platform has made, which all stay.

    On a master that is not local, this is only a name in place of Spark's `pyspark-shell`, and the environment's S3 server.
    """
    defaults = {} if conf.contains("spark.hadoop.fs.s3a.endpoint") else s3_confs(os.environ)
    if is_local(conf.get("spark.master", "")):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers need this environment's pyarrow
        defaults |= _LOCAL
    missing = {name: value for name, value in defaults.items() if not conf.contains(name)}
    if conf.get("spark.app.name") == "pyspark-shell":
        missing["spark.app.name"] = "flowspark"
    return missing | _clone_path(conf)


def _clone_path(conf: SparkConf) -> dict[str, str]:
    """The setting by which a local worker finds the package in a clone. A path that the person has set stays in front.

    An installed package needs no setting, and to a cluster the package must be shipped (`--py-files`).
    """
    home = Path(__file__).parent.parent
    if not home.is_dir() or home.name in ("site-packages", "dist-packages") or not is_local(conf.get("spark.master", "")):
        return {}
    name = "spark.executorEnv.PYTHONPATH"
    return {name: os.pathsep.join(filter(None, [conf.get(name), str(home)]))}


def _has_log_settings(conf: SparkConf) -> bool:
    """Whether a person has configured what Spark's own log shows."""
    files = conf_dir(os.environ).glob("log4j2.*")
    options = conf.get("spark.driver.extraJavaOptions", ""), conf.get("spark.driver.defaultJavaOptions", "")
    own_file = any(path.suffix != ".template" for path in files)
    return own_file or conf.contains("spark.log.level") or any("log4j" in text for text in options)


def _java_is_gone(spark: SparkSession) -> bool:
    """Whether Java has died, and so does not tell Spark's version. False on Spark Connect: its Java is elsewhere."""
    if is_connect(spark):
        return False
    try:
        _ = spark.version
    except _NO_ANSWER:
        return True
    return False


def _stop(spark: SparkSession) -> None:
    """Stops a session. If Java has died by now, it raises nothing: that would hide an earlier error, and all is done."""
    if is_connect(spark):
        disconnect(spark)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pyspark warns of a dead Java
            spark.stop()
    except Exception:
        if not _java_is_gone(spark):
            raise
        log.debug("Java was gone before Spark had stopped")

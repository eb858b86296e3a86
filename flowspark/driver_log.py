"""Says why a run has failed where an operator of a cluster looks: in Spark's own log, and in YARN's diagnostics.

`spark-submit` starts Java, and Java starts the driver's Python. In YARN's cluster mode this Java runs in a container, whose
output nobody sees at first. The scheduler sees YARN's diagnostics, where Spark would only write that the user's application
has exited with a number.
"""

from __future__ import annotations

import logging
import os
from typing import Any, cast

from flowspark.errors import printable

log = logging.getLogger(__name__)

# Scala's singleton beside the class, and its private field that holds the running one; Spark 3.5 and 4 have the same
_APPLICATION_MASTER = "org.apache.spark.deploy.yarn.ApplicationMaster$"
_RUNNING = "org$apache$spark$deploy$yarn$ApplicationMaster$$master"


def report_failure(message: str, exit_code: int) -> None:
    """Writes an error into the log of a driver on a cluster, and in YARN's cluster mode into the diagnostics too.

    It does nothing where Spark is local or was not started by `spark-submit`. It raises nothing: the run has failed
    already, and its message stands on stderr. In YARN's cluster mode, the driver's Java ends soon after this call.

    Args:
        message: why the run has failed.
        exit_code: the code with which the process is about to exit.
    """
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return
    try:
        from pyspark import SparkConf, SparkContext

        from flowspark.java import is_local

        SparkContext._ensure_initialized()  # connects to the Java that is there
        conf, java = SparkConf(), cast("Any", SparkContext._jvm)
        if is_local(conf.get("spark.master", "local")):
            return
        text = f"flowspark failed with exit code {exit_code}: {printable(message, keep=chr(10))}"
        java.org.slf4j.LoggerFactory.getLogger("flowspark").error(text)
        if (conf.get("spark.master"), conf.get("spark.submit.deployMode")) == ("yarn", "cluster"):
            _finish_application(java, text, exit_code)
    except Exception as error:
        log.debug("The error could not be reported to Spark: %s", error)


def _finish_application(java: Any, message: str, exit_code: int) -> None:
    """Ends the application with a message of its own. Spark has no public call for that.

    Spark's ApplicationMaster learns only the exit code of a Python driver, unless it was told earlier how the application
    ended.
    """
    home = java.java.lang.Class.forName(_APPLICATION_MASTER)
    field = home.getDeclaredField(_RUNNING)
    field.setAccessible(True)
    running = field.get(home.getField("MODULE$").get(None))
    running.finish(java.org.apache.hadoop.yarn.api.records.FinalApplicationStatus.FAILED, exit_code, message)

"""Counts flow logs with spark-submit on the Airflow worker: standalone, YARN in client mode, Kubernetes, or local mode.

The worker needs Java and, on the PATH, the `spark-submit` of an environment of its own, because Airflow's packages and
pyspark do not go together. The connection `spark_default` names the master. The task holds a worker slot while the
job runs.
"""

from __future__ import annotations

import re
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import RetryDecision, RetryPolicy
from flowspark_common import Pass, arguments, make_dags

# To fill in: where this worker has the files of a clone, and where each machine has the jars that scripts/jars fetches.
JOB = "FILL_IN_CLONE/jobs/tag_flows.py"
PACKAGE = "FILL_IN_PACKAGE"  # the zip that scripts/package makes
SETTINGS = "FILL_IN_CLONE/conf/spark-s3.conf"
JARS = "FILL_IN_JARS/*"


class NoRetryInVain(RetryPolicy):
    """Does not retry exit codes 2 (wrong settings), 3 (unusable input) and 4 (a failed check).

    Codes 2 and 4 come again until somebody changes something, and so does 3 as a rule. The job's message says so if it is
    worth trying again.
    """

    def evaluate(self, exception: BaseException, *_: Any, **__: Any) -> RetryDecision:
        code = re.search(r"Error code is: ([234])\.", str(exception))
        return RetryDecision.fail(f"flowspark ended with exit code {code[1]}") if code else RetryDecision.default()


def count(each: Pass, **task: Any) -> SparkSubmitOperator:
    return SparkSubmitOperator(
        application=JOB,
        application_args=arguments(each),
        py_files=PACKAGE,
        properties_file=SETTINGS,
        conf={"spark.driver.extraClassPath": JARS, "spark.executor.extraClassPath": JARS},
        name="{{ dag_run.dag_id }}",
        retry_policy=NoRetryInVain(),
        **task,
    )


make_dags("spark_submit", count)

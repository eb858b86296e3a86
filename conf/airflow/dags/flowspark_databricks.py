"""Counts flow logs on Databricks, with the job of the bundle in conf/databricks. The worker slot is free meanwhile.

The bundle's variables say where logs, lookup and results are. A run gets its interval from here. It runs one of the job's
two tasks: `yesterday`, or in a second pass `late_files`, which has the flag --skip-unchanged.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator
from flowspark_common import INTERVAL, Pass, make_dags

JOB_NAME = "flowspark"


def count(each: Pass, **task: Any) -> DatabricksRunNowOperator:
    return DatabricksRunNowOperator(
        job_name=JOB_NAME,
        json={"only": ["late_files" if each.flags else "yesterday"]},
        job_parameters={"interval": INTERVAL[each.period]},
        deferrable=True,
        **task,
    )


make_dags("databricks", count)

"""Counts flow logs on EMR Serverless. The worker slot is free while the job runs, because the operator is deferrable.

`serverless-job-run.json` beside this file says what is run. It is a filled-in copy of the file in conf/emr. The job's
arguments and the name of the run are replaced here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from flowspark_common import Pass, arguments, make_dags, waiter

RUN = json.loads(Path(__file__).with_name("serverless-job-run.json").read_text())
_OTHERS = ("mode", "executionTimeoutMinutes", "retryPolicy")


def count(each: Pass, **task: Any) -> EmrServerlessStartJobOperator:
    return EmrServerlessStartJobOperator(
        application_id=RUN["applicationId"],
        execution_role_arn=RUN["executionRoleArn"],
        name="{{ dag_run.dag_id }}",
        job_driver={"sparkSubmit": RUN["jobDriver"]["sparkSubmit"] | {"entryPointArguments": arguments(each)}},
        configuration_overrides=RUN["configurationOverrides"],
        config={name: RUN[name] for name in _OTHERS if name in RUN},
        deferrable=True,
        **waiter(60),
        **task,
    )


make_dags("emr_serverless", count)

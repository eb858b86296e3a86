"""Counts flow logs as a step on an EMR cluster that is running. The worker slot is free meanwhile.

`step.json` beside this file says what is run. It is a filled-in copy of the file in conf/emr. The job's arguments and the
name of the step are replaced here.

The step and the wait for it are one task, so that a retry adds a new step. If a sensor waited for the step, a retry of the
sensor would only look at the failed step again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.operators.emr import EmrAddStepsOperator
from flowspark_common import Pass, arguments, make_dags, waiter

# To fill in.
CLUSTER_ID = "FILL_IN_CLUSTER_ID"
(STEP,) = json.loads(Path(__file__).with_name("step.json").read_text())


def count(each: Pass, **task: Any) -> EmrAddStepsOperator:
    submit = STEP["Args"][: STEP["Args"].index("--input")]
    return EmrAddStepsOperator(
        job_flow_id=CLUSTER_ID,
        steps=[
            {
                "Name": "{{ dag_run.dag_id }}",
                "ActionOnFailure": STEP["ActionOnFailure"],
                "HadoopJarStep": {"Jar": STEP["Jar"], "Args": [*submit, *arguments(each)]},
            }
        ],
        deferrable=True,
        **waiter(30),
        **task,
    )


make_dags("emr_step", count)

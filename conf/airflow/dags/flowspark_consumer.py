"""An example of a DAG that uses the results: it waits for the marker of a complete day, then reads the day's summary.

A run removes the marker before it replaces a table and writes it again at the very end. So the marker is there only when
all results of the interval are complete and of one run (flowspark's README, "What is safe", has the one exception).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk import DAG, task
from flowspark_common import INTERVAL, OUTPUT, RETRIES, START, schedule

SUMMARY = f"{OUTPUT}/summary/interval={INTERVAL['daily']}"

with DAG(
    "flowspark_consumer",
    schedule=schedule("daily"),
    start_date=START,
    catchup=True,
    max_active_runs=3,  # a day that is missing does not hold up the next ones
    default_args=RETRIES,
    tags=["flowspark"],
):
    complete = S3KeySensor(
        task_id="complete",
        bucket_key=f"{SUMMARY}/_SUCCESS",
        deferrable=True,
        poke_interval=60,
        timeout=timedelta(days=2).total_seconds(),
    )

    @task
    def read_summary(folder: str) -> dict[str, Any]:
        """The name of the run, and how many flows it has tagged and left untagged."""
        bucket, prefix = S3Hook.parse_s3_url(folder)
        hook = S3Hook()
        part = next(key for key in hook.list_keys(bucket, prefix) if "/part-" in key)
        summary = json.loads(hook.read_key(part, bucket))
        return {name: summary[name] for name in ("run_id", "tagged", "untagged")}

    complete >> read_summary(SUMMARY)

"""Runs in Airflow's own environment, which has neither pytest nor flowspark, for the tests of the DAGs.

airflow_side.py look FOLDER DAY    prints as JSON what the DAGs in a folder are, as a run of that day has them
airflow_side.py submit FOLDER DAY  runs the first half of the tasks for EMR, and prints what they then wait for
airflow_side.py poke FOLDER        reads days, a line each, and prints whether the consumer's sensor fires
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import TaskDeferred


def bag(folder: str) -> DagBag:
    sys.path.append(folder)  # as Airflow does it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return DagBag(folder)


def rendered(dag: DAG, day: str) -> Iterator[tuple[BaseOperator, dict[str, Any]]]:
    """Yields the tasks of a DAG with their templates filled in, and the context for that."""
    start = (
        datetime.fromisoformat(day).replace(hour=5, tzinfo=UTC) if "hourly" in dag.dag_id else datetime.fromisoformat(day)
    )
    for task in dag.tasks:
        context = {"data_interval_start": start, "dag_run": SimpleNamespace(dag_id=dag.dag_id), "dag": dag, "task": task}
        task.render_template_fields(context)
        yield task, context


def look(folder: str, day: str) -> dict[str, Any]:
    found = bag(folder)
    return {
        "errors": found.import_errors,
        "warnings": found.captured_warnings,
        "dags": {dag.dag_id: about(dag, day) for dag in found.dags.values()},
    }


def about(dag: DAG, day: str) -> dict[str, Any]:
    tasks = dict[str, Any]()
    for task, context in rendered(dag, day):
        tasks[task.task_id] = plain(vars(task))
        if task.task_id == "count" and "emr" in dag.dag_id:
            tasks[task.task_id]["waits"] = submitted(task, context)
    attributes = {name: getattr(dag, name) for name in ("catchup", "max_active_runs")}
    return attributes | {"timetable": repr(dag.timetable), "tasks": tasks}


def submitted(task: BaseOperator, context: dict[str, Any]) -> dict[str, Any]:
    """Runs the first half of a task for EMR, and returns what it then waits for."""
    try:
        task.execute(context | {"ti": SimpleNamespace(xcom_push=lambda **_: None)})
    except TaskDeferred as waits:
        kind, attributes = waits.trigger.serialize()
        return {"trigger": kind.rpartition(".")[2], **attributes}
    return {}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a task's attributes, durations in seconds, and assets by name and URI."""
    kept = {}
    for name, value in values.items():
        if isinstance(value, timedelta):
            kept[name] = value.total_seconds()
        elif name == "outlets":
            kept[name] = {asset.name: asset.uri for asset in value}
        elif isinstance(value, str | int | float | list | dict) and not name.startswith("_"):
            try:
                kept[name] = json.loads(json.dumps(value))
            except TypeError:
                continue
    return kept


def poke(folder: str) -> Iterator[bool]:
    dag = bag(folder).dags["flowspark_consumer"]
    template = dag.get_task("complete").bucket_key
    for line in sys.stdin:
        sensor, context = next(rendered(dag, line.strip()))
        yield bool(sensor.poke(context))
        sensor.bucket_key = template


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # Airflow's log goes to stdout too, and would be taken for an answer
        for answer in poke(*arguments) if command == "poke" else [look(*arguments)]:
            print(json.dumps(answer, default=str), file=answers, flush=True)

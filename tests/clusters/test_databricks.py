"""The bundle in conf/databricks: Databricks' own models take its jobs, and flowspark takes the arguments of its tasks."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from flowspark.cli import parser
from flowspark.settings import NAMES, Settings, load_settings
from tests.s3_server import ROOT

BUNDLE = ROOT / "conf" / "databricks"
TARGETS = ("dev", "prod", "dev_serverless", "prod_serverless")
VARIABLES = {
    "input": "s3://logs/vpc",
    "lookup": "s3://logs/tags.csv",
    "output": "s3://results/counts",
    "notify": "a@b.example",
}

# databricks-bundles: the classes of Databricks' CLI for what a bundle may hold; it refuses unknown keys, types and values
CHECK = """
import json, sys
from databricks.bundles.jobs import Job
Job.from_dict(json.load(sys.stdin))
"""


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((BUNDLE / "databricks.yml").read_text())
    return found


@pytest.fixture(scope="module")
def check() -> Callable[[dict[str, Any]], str]:
    """What Databricks' models say against a job; empty if they take it."""
    python = subprocess.run([ROOT / "scripts" / "env", "connect"], stdout=subprocess.PIPE, text=True, check=True).stdout

    def run(job: dict[str, Any]) -> str:
        command = [python.strip(), "-c", CHECK]
        return subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False).stderr

    return run


def job_of(bundle: dict[str, Any], target: str) -> dict[str, Any]:
    """The job of a target, joined as the CLI joins it: tasks by their keys, all else by name."""
    common = bundle["resources"]["jobs"]["flowspark"]
    own = bundle["targets"][target]["resources"]["jobs"]["flowspark"]
    tasks = {task["task_key"]: dict(task) for task in common["tasks"]}
    for task in own["tasks"]:
        tasks[task["task_key"]] |= task
    return common | own | {"tasks": [*tasks.values()]}


@pytest.mark.parametrize("target", TARGETS)
def test_databricks_takes_the_job(bundle, check, target):
    job = job_of(bundle, target)
    assert check(job) == ""
    wrong = job | {"max_concurrent_run": 1}
    assert "Unexpected field 'max_concurrent_run'" in check(wrong)


@pytest.mark.parametrize("target", TARGETS)
def test_each_task_has_its_compute_with_the_wheel_that_is_built(bundle, target):
    job = job_of(bundle, target)
    (built,) = (file["source"] for file in bundle["artifacts"]["flowspark"]["files"])
    for task in job["tasks"]:
        if "serverless" in target:
            (environment,) = job["environments"]
            assert task["environment_key"] == environment["environment_key"]
            assert environment["spec"]["dependencies"] == [built]
        else:
            (cluster,) = job["job_clusters"]
            assert task["job_cluster_key"] == cluster["job_cluster_key"]
            assert task["libraries"] == [{"whl": built}]


def settings_of(task: dict[str, Any], interval: str) -> Settings:
    """The settings with which a task of a run that was due on 2026-11-23 starts flowspark."""
    values = {f"${{var.{name}}}": value for name, value in VARIABLES.items()}
    values |= {"{{job.trigger.time.iso_date}}": "2026-11-23", "{{job.parameters.interval}}": interval}
    given = task["spark_python_task"]
    arguments = [re.sub(r"\$\{[^}]*\}|\{\{[^}]*\}\}", lambda match: values[match[0]], text) for text in given["parameters"]]
    script = runpy.run_path(str(BUNDLE / given["python_file"]))
    flags = vars(parser().parse_args(script["flowspark_arguments"](arguments)))
    return load_settings({name: flags[name] for name in NAMES})


def test_the_tasks_count_the_day_before_the_run_was_due_and_the_late_files_of_the_day_before_that(bundle):
    yesterday, late = job_of(bundle, "prod")["tasks"]
    places = {"input": ("s3://logs/vpc",), "lookup": "s3://logs/tags.csv", "output": "s3://results/counts"}
    assert settings_of(yesterday, "scheduled") == Settings(**places, interval="2026-11-22")
    assert settings_of(late, "scheduled") == Settings(**places, interval="2026-11-21", skip_unchanged=True)
    assert settings_of(yesterday, "2026-10-01T05") == Settings(**places, interval="2026-10-01T05")


def test_what_has_to_be_filled_in_has_no_default(bundle):
    required = {name for name, variable in bundle["variables"].items() if "default" not in variable}
    assert required == {*VARIABLES}

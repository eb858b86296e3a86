"""What a run tells of its phases: in the log, in the summary, in Spark's UI, and on a terminal."""

from __future__ import annotations

import json
import logging
import re
import time

import pytest
from pyspark.errors import PySparkException

from flowspark import cli, progress
from flowspark.phases import Phases
from tests.logs import flow, log
from tests.spark.job import run_job

pytestmark = pytest.mark.newest

LOGS = {"a.log": log(flow(443), flow(53, 17), "bad"), "b.log": log(flow(443))}
SIZE = sum(map(len, LOGS.values()))
NO_COUNTS = dict.fromkeys(("files", "bytes", "lines", "rows"))


def test_a_run_logs_each_phase_and_the_summary_has_the_same_numbers(spark, tmp_path, caplog):
    caplog.set_level(logging.INFO, "flowspark")
    summary = run_job(spark, tmp_path, LOGS, max_reject_ratio=1).summary
    phases = [dict(phase) for phase in summary["phases"]]
    seconds = [phase.pop("seconds") for phase in phases]
    assert all(value >= 0 for value in seconds)
    assert phases == [
        {"phase": "lookup"} | NO_COUNTS | {"rows": 4},
        {"phase": "list"} | NO_COUNTS | {"files": 2, "bytes": SIZE},
        {"phase": "scan"} | NO_COUNTS | {"files": 2, "bytes": SIZE, "lines": 6},
        {"phase": "check"} | NO_COUNTS | {"lines": 6},
        {"phase": "publish"} | NO_COUNTS | {"rows": 2 + 2 + 1 + 2},  # tags, ports, rejects, files
    ]
    logged = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert logged == [{name: value for name, value in phase.items() if value is not None} for phase in summary["phases"]]
    assert f"scan: 2 files, {SIZE:,} bytes, 6 lines, {seconds[2]:.1f} s" in caplog.messages

    again = run_job(spark, tmp_path, {}, retag=True, input=(), max_reject_ratio=1).summary
    assert [phase["phase"] for phase in again["phases"]] == ["lookup", "check", "publish"]


def test_a_log_line_in_json_has_the_phase_its_seconds_and_its_counts():
    fields = {"phase": "scan", "seconds": 1.5, "files": 2}
    values = {"created": 0.25, "levelname": "INFO", "msg": "scan: %s", "args": ("é\x1b\n",), "fields": fields}
    line = cli._JsonFormatter().format(logging.makeLogRecord(values))
    assert line.isascii()
    assert line.isprintable()
    own = {"time": "1970-01-01T00:00:00.250+00:00", "level": "INFO", "message": "scan: é\x1b\n"}
    assert json.loads(line) == own | fields


def test_in_sparks_ui_the_jobs_of_a_phase_are_a_group_and_each_is_described(spark, tmp_path):
    context = spark.sparkContext
    context.setJobGroup("mine", "my own")
    run_id = run_job(spark, tmp_path, LOGS, max_reject_ratio=1).summary["run_id"]
    assert context.getLocalProperty("spark.jobGroup.id") == "mine", "what a notebook has set comes back"
    assert context.getLocalProperty("spark.job.description") == "my own"
    context.setLocalProperty("spark.jobGroup.id", None)
    context.setLocalProperty("spark.job.description", None)

    jobs = context._jsc.sc().statusStore().jobsList(None)
    described: dict[str, set[str]] = {}
    for job in (jobs.apply(n) for n in range(jobs.size())):
        if job.jobGroup().isDefined() and run_id in job.jobGroup().get():
            described.setdefault(job.jobGroup().get(), set()).add(job.description().get())
    tables = ("tag_counts", "port_protocol_counts", "rejects", "files")
    first_rows = {"publish: first rows of tag_counts", "publish: first rows of port_protocol_counts"}
    assert described[f"flowspark {run_id} scan"] == {"scan", "scan: books"}
    assert described[f"flowspark {run_id} publish"] == {f"publish: {name}" for name in (*tables, "summary")} | first_rows


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "_LONG", 0.05)
    monkeypatch.setattr(progress, "_INTERVAL", 0.05)


def slow_tasks(spark, tasks: int) -> None:
    def wait(batches):
        time.sleep(0.5)
        yield from batches

    spark.range(0, tasks, 1, tasks).mapInArrow(wait, "id long").count()


@pytest.mark.usefixtures("impatient")
def test_a_long_phase_shows_its_tasks_on_a_terminal_and_clears_the_line(spark, capsys):
    phases = Phases(spark, "run", progress=True)
    with phases.phase("scan"):
        slow_tasks(spark, 6)
    shown = capsys.readouterr().err.split(progress.CLEAR)
    estimated = re.compile(r"scan: [1-5] of 6 tasks, \d+ s, about \d+ s left")
    assert any(map(estimated.fullmatch, shown)), shown
    assert shown[-1] == ""


def test_a_job_that_fails_and_is_caught_is_no_task_that_was_run_again(spark, caplog):
    def fail(_batches):
        raise OSError("archived")

    with Phases(spark, "failing").phase("scan"), pytest.raises(PySparkException):
        spark.range(1).mapInArrow(fail, "id long").count()
    assert "failed" not in caplog.text


@pytest.mark.usefixtures("impatient")
def test_where_there_is_no_terminal_no_progress_is_shown(spark, capsys):
    with Phases(spark, "run").phase("scan"):
        slow_tasks(spark, 2)
    assert capsys.readouterr().err == ""

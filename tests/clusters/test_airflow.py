"""The DAGs of conf/airflow in a real Airflow: what they ask for, and what they do with real logs on an S3 server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowspark.cli import parser
from flowspark.outputs import RESULTS, SUMMARY
from flowspark.settings import NAMES, load_settings
from tests.clusters.airflow_server import Airflow, airflow, filled_in, python, wait_for
from tests.logs import flow, log
from tests.s3_proxy import Proxy, Request
from tests.s3_server import CREDENTIALS, ROOT, Bucket, s3_jars

SIDE = Path(__file__).with_name("airflow_side.py")
BUNDLE = yaml.safe_load((ROOT / "conf" / "databricks" / "databricks.yml").read_text())["resources"]["jobs"]["flowspark"]
WAYS = ("emr_serverless", "emr_step", "databricks", "spark_submit")
PASSES = ("daily", "daily_again", "hourly", "hourly_again")
SUBMIT, AGAIN, CONSUMER = "flowspark_spark_submit_daily", "flowspark_spark_submit_daily_again", "flowspark_consumer"

EMPTY, FIRST, SECOND = "2024-03-04", "2024-03-05", "2024-03-06"  # no log; two tags; a try that fails
HOURS, MINUTES, DAYS = 3600, 60, 86400


@dataclass
class Story:
    """What happened in a real Airflow: see the fixture."""

    server: Airflow
    bucket: Bucket
    pokes: list[tuple[str, bool, dict[str, bytes]]] = field(default_factory=list)  # the written table, fired, what stood
    complete: list[dict[str, bytes]] = field(default_factory=list)  # what stood after each run

    def results(self, day: str) -> dict[str, bytes]:
        """The published results of a day, by name."""
        keys = self.bucket.keys("flow-counts/")
        found = [key for key in keys if f"/interval={day}/part-" in key and "/_scan/" not in key]
        return {key.split("/")[1]: self.bucket.get(key) for key in found}

    def summary(self, day: str) -> dict[str, Any]:
        return json.loads(self.results(day)[SUMMARY])


@pytest.fixture(scope="module")
def aws(_server: tuple[str, int]) -> Any:
    """Makes clients of services that the S3 server's program also stands in for."""
    import boto3

    keys = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_REGION"}
    return lambda service: boto3.client(service, "us-east-1", endpoint_url="http://{}:{}".format(*_server), **keys)


@pytest.fixture(scope="module")
def store(_server) -> Bucket:
    """The bucket for logs and results."""
    return Bucket(_server)


@pytest.fixture(scope="module")
def values(aws, package, store) -> dict[str, str]:
    """What is filled in, by what stands there before."""
    instances = {"MasterInstanceType": "m5.xlarge", "SlaveInstanceType": "m5.xlarge", "InstanceCount": 1}
    cluster = aws("emr").run_job_flow(Name="flowspark", Instances=instances | {"KeepJobFlowAliveWhenNoSteps": True})
    application = aws("emr-serverless").create_application(name="flowspark", releaseLabel="emr-7.12.0", type="SPARK")
    return {
        "FILL_IN_LOG_BUCKET": f"{store.name}/logs",
        "FILL_IN_BUCKET": store.name,
        "FILL_IN_ACCOUNT": "123456789012",
        "FILL_IN_APPLICATION_ID": application["applicationId"],
        "FILL_IN_CLUSTER_ID": cluster["JobFlowId"],
        "FILL_IN_PACKAGE": str(package),
        "FILL_IN_CLONE": str(ROOT),
        "FILL_IN_JARS": str(Path(s3_jars().split(",")[0]).parent),
        "datetime(2026, 11, 1,": "datetime(2099, 1, 1,",  # no run but those that a test asks for
        "FLAGS: list[str] = []": 'FLAGS: list[str] = ["--reader", "direct"]',  # the quicker one here
        "timedelta(minutes=5)": "timedelta(seconds=1)",
        "poke_interval=60": "poke_interval=2",
    }


@pytest.fixture(scope="module")
def dags(values, tmp_path_factory) -> Path:
    return filled_in(tmp_path_factory.mktemp("airflow") / "dags", values)


@pytest.fixture(scope="module")
def server(dags, _proxy) -> Airflow:
    """An Airflow that is not running yet; its tasks have the spark-submit of the environment that runs the tests."""
    return airflow(
        dags.parent,
        dags,
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        PYSPARK_PYTHON=sys.executable,
        SPARK_LOCAL_IP="127.0.0.1",
        AWS_DEFAULT_REGION="us-east-1",
        JDK_JAVA_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type": "spark", "host": "local[1]"}',
    )


@pytest.fixture(scope="module")
def found(server) -> dict[str, Any]:
    """What Airflow makes of the DAGs; the tasks for EMR have been begun."""
    done = subprocess.run(
        [python(), SIDE, "look", server.environment["AIRFLOW__CORE__DAGS_FOLDER"], FIRST],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def jobs(found) -> dict[str, dict[str, Any]]:
    """The task that runs the job, by DAG."""
    return {name: dag["tasks"]["count"] for name, dag in found["dags"].items() if name != CONSUMER}


def arguments(job: dict[str, Any]) -> list[str]:
    """The job's arguments in the rendered attributes of an operator."""
    if "steps" in job:
        command = job["steps"][0]["HadoopJarStep"]["Args"]
        return command[command.index("--input") :]
    if "job_driver" in job:
        return job["job_driver"]["sparkSubmit"]["entryPointArguments"]
    if "application_args" in job:
        return job["application_args"]
    (task,) = [task for task in BUNDLE["tasks"] if task["task_key"] in job["json"]["only"]]
    (interval,) = job["job_parameters"].values()
    texts = {"{{job.trigger.time.iso_date}}": "2026-11-23", "{{job.parameters.interval}}": interval}
    return [
        re.sub("|".join(map(re.escape, texts)), lambda found: texts[found[0]], text)
        for text in task["spark_python_task"]["parameters"]
        if not text.startswith(("--due=", "--days-back="))
    ]


def test_each_way_has_its_four_dags_and_all_load_without_a_warning(found):
    assert (found["errors"], found["warnings"]) == ({}, {})
    assert set(found["dags"]) == {f"flowspark_{way}_{each}" for way in WAYS for each in PASSES} | {CONSUMER}


def test_a_run_counts_the_interval_of_its_dag_run_one_after_the_other(found):
    for name, dag in found["dags"].items():
        cron = "0 * * * *" if "hourly" in name else "0 0 * * *"
        assert dag["timetable"] == f"CronDataIntervalTimetable(expression='{cron}', timezone='UTC')"
        assert (dag["catchup"], dag["max_active_runs"]) == (True, 3 if name == CONSUMER else 1)


def test_the_job_accepts_the_arguments_of_each_dag(jobs, store):
    for name, job in jobs.items():
        given = vars(parser().parse_args(arguments(job)))
        settings = load_settings({flag: given[flag] for flag in NAMES})
        assert settings.interval == (f"{FIRST}T05" if "hourly" in name else FIRST), name
        assert settings.skip_unchanged == name.endswith("_again"), name
        assert settings.reader == ("auto" if "databricks" in name else "direct"), name
        if "databricks" in name:
            assert settings.output == "${var.output}", "the bundle has the locations"
        else:
            assert settings.input == (f"s3://{store.name}/logs",), name
            assert (settings.lookup, settings.output) == (store.uri("flowspark/lookup.csv"), store.uri("flow-counts")), name


def test_the_databricks_job_has_the_parameter_and_the_tasks_that_are_asked_for(jobs):
    for name, job in jobs.items():
        if "databricks" in name:
            assert job["job_name"] == BUNDLE["name"]
            assert set(job["job_parameters"]) == {parameter["name"] for parameter in BUNDLE["parameters"]}
            assert job["json"]["only"] == ["late_files" if name.endswith("_again") else "yesterday"]


def test_a_second_pass_starts_two_days_after_the_interval(found):
    for name, dag in found["dags"].items():
        if name != CONSUMER:
            wait = dag["tasks"]["wait_for_late_files"]
            first = 30 * MINUTES if "hourly" in name else 2 * HOURS
            assert wait["delta"] == (2 * DAYS if name.endswith("_again") else first)
            assert wait["deferrable"] is True
            assert wait["timeout"] > wait["delta"], "or the wait itself would end it"


def test_waiting_takes_no_worker_slot_and_ends_after_the_job_would_have_been_ended(jobs):
    for name, job in jobs.items():
        assert job["execution_timeout"] == 5 * HOURS, name
        assert job.get("deferrable", False) == ("spark_submit" not in name), name
        if "emr" in name:
            assert job["waits"]["trigger"] == (
                "EmrServerlessStartJobTrigger" if "serverless" in name else "EmrAddStepsTrigger"
            )
            assert job["waits"]["waiter_delay"] * job["waits"]["waiter_max_attempts"] == 4 * HOURS, name
        if "serverless" in name:
            assert job["config"]["executionTimeoutMinutes"] * MINUTES <= 3 * HOURS, name


def test_all_tasks_are_tried_again_with_growing_delays(found):
    for dag in found["dags"].values():
        for task in dag["tasks"].values():
            assert (task["retries"], task["retry_exponential_backoff"], task["max_retry_delay"]) == (3, 2, HOURS)


def test_each_result_is_an_asset(jobs, store):
    for job in jobs.values():
        assert job["outlets"] == {f"flowspark_{table}": store.uri(f"flow-counts/{table}") for table in (*RESULTS, SUMMARY)}


def test_emr_takes_what_the_operators_send(jobs, values, aws):
    steps = aws("emr").list_steps(ClusterId=values["FILL_IN_CLUSTER_ID"])["Steps"]
    sent = {step["Name"]: step["Config"]["Args"] for step in steps}
    assert sent == {name: job["steps"][0]["HadoopJarStep"]["Args"] for name, job in jobs.items() if "emr_step" in name}
    for name, job in jobs.items():
        if "emr_serverless" in name:
            ids = {"applicationId": values["FILL_IN_APPLICATION_ID"], "jobRunId": job["waits"]["job_id"]}
            run = aws("emr-serverless").get_job_run(**ids)["jobRun"]
            assert run["jobDriver"] == job["job_driver"]
            assert run["executionRole"] == "arn:aws:iam::123456789012:role/flowspark"


def put_log(bucket: Bucket, day: str, hour: str, *lines: str) -> None:
    name = f"123456789010_vpcflowlogs_eu-west-1_fl-0123456789abcdef0_{day.replace('-', '')}T{hour}00Z_0a1b2c3d.log"
    bucket.put(f"logs/AWSLogs/123456789010/vpcflowlogs/eu-west-1/{day.replace('-', '/')}/{name}", log(*lines))


class Sensor:
    """The consumer's sensor, in a process of Airflow's environment. It is poked before each write of a run."""

    def __init__(self, story: Story, proxy: Proxy, process: subprocess.Popen[str]) -> None:
        self._story, self._process = story, process
        self._lock, self._note = threading.Lock(), proxy.note

    def note(self, request: Request) -> Any:
        if request.method not in ("PUT", "POST", "DELETE"):
            return self._note(request)
        with self._lock:  # a run removes the marker before it removes a table, and both wait here
            written = re.match(r"flow-counts/([a-z_]+)/interval=([\d-]+)", request.place)
            if written:
                fired = self.poke(written[2])
                self._story.pokes.append((written[1], fired, self._story.results(written[2]) if fired else {}))
            return self._note(request)

    def poke(self, day: str) -> bool:
        assert self._process.stdin and self._process.stdout
        print(day, file=self._process.stdin, flush=True)
        return bool(json.loads(self._process.stdout.readline()))


@pytest.fixture(scope="module")
def story(server, store, _proxy) -> Iterator[Story]:
    """A consumer waits for a day. Three days are backfilled: one without a log, a good one, and one with a try that fails.

    Then a log file comes late, and the second pass over the good day finds it. All the while the sensor is poked.
    """
    story = Story(server, store)
    store.put("flowspark/lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n53,udp,dns\n")
    put_log(store, FIRST, "05", flow(443), flow(443), flow(53, 17))
    put_log(store, SECOND, "05", flow(443), flow(22))
    command = [python(), SIDE, "poke", server.environment["AIRFLOW__CORE__DAGS_FOLDER"]]
    process = subprocess.Popen(command, env=server.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    backfill = "backfill create --dag-id {} --from-date {} --to-date {} --max-active-runs 1"
    days = (CONSUMER, FIRST, FIRST), (SUBMIT, EMPTY, SECOND), (AGAIN, FIRST, FIRST)
    server.commands(*(backfill.format(*each) for each in days))  # before the scheduler runs: SQLite takes one writer
    server.unpause(CONSUMER)
    with process, server.running(), pytest.MonkeyPatch.context() as patch:
        waiting = "SELECT state FROM task_instance WHERE dag_id = ? AND task_id = 'complete'"
        wait_for(lambda: server.rows(waiting, CONSUMER) == [("deferred",)])
        patch.setattr(_proxy, "note", Sensor(story, _proxy, process).note)
        _proxy.clear()
        _proxy.fail("CreateMultipartUpload", under=f"flow-counts/tag_counts/interval={SECOND}", times=1, status=403)
        server.unpause(SUBMIT)
        server.wait(SUBMIT)
        story.complete += [story.results(FIRST), story.results(SECOND)]
        put_log(store, FIRST, "23", *[flow(53, 17)] * 3)
        server.unpause(AGAIN)
        server.wait(AGAIN)
        story.complete.append(story.results(FIRST))
        server.wait(CONSUMER)
        assert process.poll() is None, "each poke was answered"
        process.kill()
        yield story


def test_a_backfill_counts_each_of_its_days(story):
    assert story.server.states(SUBMIT) == {EMPTY: "failed", FIRST: "success", SECOND: "success"}
    first, second = story.complete[:2]
    assert first["tag_counts"] == b"tag,count\nweb,2\ndns,1\n"
    assert first["port_protocol_counts"] == b"dstport,protocol,count\n443,tcp,2\n53,udp,1\n"
    assert second["tag_counts"] == b"tag,count\nUntagged,1\nweb,1\n"
    assert second["port_protocol_counts"] == b"dstport,protocol,count\n22,tcp,1\n443,tcp,1\n"


def test_a_run_that_failed_while_it_published_is_tried_again_and_an_unusable_input_is_not(story):
    tries = story.server.tries(SUBMIT, "count")
    assert tries[SECOND] > 1
    assert tries[EMPTY] < 4, "it failed for good, and not because its three retries were used up"


def test_the_second_pass_counts_what_came_late(story):
    assert story.server.states(AGAIN) == {FIRST: "success"}
    assert story.complete[2]["tag_counts"] == b"tag,count\ndns,4\nweb,2\n"
    assert len(story.summary(FIRST)["late_files"]) == 1


def test_the_sensor_fires_only_where_all_results_are_complete_and_of_one_run(story):
    written = {fired: {table for table, when, _ in story.pokes if when is fired} for fired in (True, False)}
    assert written[False] >= {*RESULTS, SUMMARY}, "no table is written while the sensor fires"
    assert not written[True] & set(RESULTS)
    assert [stood for _, fired, stood in story.pokes if fired and stood not in story.complete] == []


def test_a_consumer_waits_for_the_marker_and_reads_the_summary_of_the_run(story):
    assert story.server.states(CONSUMER) == {FIRST: "success"}
    query = "SELECT value FROM xcom WHERE dag_id = ? AND task_id = 'read_summary' AND key = 'return_value'"
    [(value,)] = story.server.rows(query, CONSUMER)
    first = json.loads(story.complete[0][SUMMARY])
    assert json.loads(value) == {"run_id": first["run_id"], "tagged": 3, "untagged": 0}

"""The session of a run: what a person or a platform has set stays, and a Java that dies is told in one message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest

from tests.logs import flow, log, write
from tests.spark.job import published_summary

ROOT = Path(__file__).parent.parent.parent
JOB = ROOT / "jobs" / "tag_flows.py"
SPARK_SUBMIT = Path(sys.executable).parent / "spark-submit"

# what a session of ours looks like from inside, as the last line of stdout
LOOK = """
import json, os, sys
from flowspark.session import spark_session
before = dict(os.environ)
with spark_session(debug=False) as spark:
    conf = dict(spark.sparkContext.getConf().getAll())
    level = spark._jvm.org.apache.logging.log4j.LogManager.getRootLogger().getLevel().toString()
ours = ("PYSPARK_PYTHON", "SPARK_LOCAL_IP")
changed = {name: os.environ[name] for name in ours if os.environ.get(name) != before.get(name)}
print()
print(json.dumps({"conf": conf, "level": level, "changed": changed}))
"""


def environment(**more: str) -> dict[str, str]:
    """An environment as a person has it: nothing that the tests' own Spark needs."""
    ours = ("PYTHONPATH", "PYSPARK_PYTHON", "SPARK_LOCAL_IP", "AWS_ENDPOINT_URL")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return clean | {"PATH": f"{Path(sys.executable).parent}:{clean['PATH']}", "PYTHONPATH": str(ROOT)} | more


def look(folder: Path, *launcher: object, **env: str) -> dict:
    """What LOOK sees, started by a launcher."""
    script = write(folder / "look.py", LOOK.encode())
    run = subprocess.run(
        [*map(str, launcher or [sys.executable]), str(script)],
        capture_output=True, text=True, check=False, env=environment(**env),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    return seen | {"stdout": run.stdout, "stderr": run.stderr}


def defaults(folder: Path, text: str) -> str:
    """A SPARK_CONF_DIR with this spark-defaults.conf."""
    return str(write(folder / "conf" / "spark-defaults.conf", text.encode()).parent)


def test_a_local_session_is_quick_and_quiet_where_nothing_is_set(tmp_path):
    seen = look(tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_REGION="eu-west-1")
    expected = {
        "spark.master": "local[*]",
        "spark.app.name": "flowspark",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.host": "localhost",
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9",
        "spark.hadoop.fs.s3a.endpoint.region": "eu-west-1",
    }
    assert {name: seen["conf"].get(name) for name in expected} == expected
    assert "DefaultCredentialsProvider" in seen["conf"]["spark.hadoop.fs.s3a.aws.credentials.provider"].replace("AWS", "")
    assert "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" in seen["conf"]["spark.driver.extraJavaOptions"]
    assert seen["level"] == "OFF"
    assert seen["changed"] == {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}


def test_what_a_person_has_set_stays_in_local_mode_too(tmp_path):
    own = {
        "spark.master": "local[3]",
        "spark.app.name": "mine",
        "spark.ui.port": "0",
        "spark.ui.enabled": "true",
        "spark.ui.showConsoleProgress": "true",
        "spark.sql.shuffle.partitions": "7",
        "spark.log.level": "ERROR",
        "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:1",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "org.example.Mine",
        "spark.driver.extraJavaOptions": "-Dmine=1 -XX:+UseParallelGC",
        "spark.executorEnv.PYTHONPATH": "/mine",
    }
    folder = defaults(tmp_path, "".join(f"{name} {value}\n" for name, value in own.items()))
    arguments = "--conf spark.sql.adaptive.enabled=true --conf spark.sql.shuffle.partitions=9 pyspark-shell"
    seen = look(
        tmp_path, SPARK_CONF_DIR=folder, PYSPARK_SUBMIT_ARGS=arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9",
        PYSPARK_PYTHON="python3",
    )  # fmt: skip
    own["spark.sql.shuffle.partitions"], own["spark.sql.adaptive.enabled"] = "9", "true"
    own["spark.executorEnv.PYTHONPATH"] = f"/mine:{ROOT}"
    java = seen["conf"].pop("spark.driver.extraJavaOptions")
    assert own.pop("spark.driver.extraJavaOptions") in java
    assert "UseSerialGC" not in java
    assert {name: seen["conf"].get(name) for name in own} == own
    assert "spark.hadoop.fs.s3a.path.style.access" not in seen["conf"]  # it belongs to an endpoint that is not ours
    assert seen["level"] == "ERROR"
    assert "PYSPARK_PYTHON" not in seen["changed"]


@pytest.mark.newest
def test_a_log4j_file_of_a_persons_own_stays_in_force(tmp_path):
    folder = defaults(tmp_path, "")
    text = "rootLogger.level = info\nrootLogger.appenderRef.a.ref = a\nappender.a.type = Console\nappender.a.name = a\n"
    write(Path(folder) / "log4j2.properties", f"{text}appender.a.target = SYSTEM_ERR\n".encode())
    seen = look(tmp_path, SPARK_CONF_DIR=folder)
    assert seen["level"] in ("INFO", "WARN")  # Spark's launcher for shells makes the first of them the second


@pytest.mark.parametrize("launcher", ["spark-submit", "python"])
def test_on_a_cluster_nothing_is_touched(tmp_path, launcher):
    """`local-cluster` starts real workers in processes of their own, and is no local mode."""
    master = "local-cluster[1,1,1024]"
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "SPARK_HOME": str(Path(pyspark.__file__).parent)}
    if launcher == "python":
        seen = look(tmp_path, SPARK_CONF_DIR=defaults(tmp_path, f"spark.master {master}\n"), **env)
    else:
        seen = look(tmp_path, SPARK_SUBMIT, "--master", master, **env)
    conf = seen["conf"]
    assert conf["spark.master"] == master
    assert conf["spark.app.name"] == {"python": "flowspark", "spark-submit": "look.py"}[launcher]
    assert seen["level"] in ("INFO", "WARN")
    assert seen["changed"] == {}
    assert [name for name in conf if name.startswith("spark.executorEnv.")] == []
    assert "UseSerialGC" not in conf.get("spark.driver.extraJavaOptions", "")
    for name in ("spark.ui.enabled", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"):
        assert name not in conf
    # the progress bar is Spark's own affair: on for a shell, which Python's session is to Spark, and off for a job
    assert conf.get("spark.ui.showConsoleProgress") == {"python": "true", "spark-submit": None}[launcher]


@pytest.mark.newest
def test_a_zip_of_the_package_is_all_that_a_cluster_needs(tmp_path):
    """The job's file alone and the zip, as its own message tells to ship it; Spark's log is there to be read."""
    made = subprocess.run(
        [sys.executable, "-m", "zipfile", "-c", str(tmp_path / "flowspark.zip"), "flowspark/"],
        check=False, cwd=ROOT, capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    alone = write(tmp_path / "jobs" / "tag_flows.py", JOB.read_bytes())
    write(tmp_path / "logs" / "a.log", log(flow(443), flow(22)))
    write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    run = subprocess.run(
        [SPARK_SUBMIT, "--master", "local-cluster[1,1,1024]", "--py-files", tmp_path / "flowspark.zip", alone,
         "--input", tmp_path / "logs", "--lookup", tmp_path / "lookup.csv", "--output", tmp_path / "out"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment(PYTHONPATH="", PYSPARK_PYTHON=sys.executable, SPARK_HOME=str(Path(pyspark.__file__).parent)),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout.splitlines()[-1])["tagged"] == 1
    assert " INFO DAGScheduler: " in run.stderr


@pytest.mark.newest  # local Connect sessions came with Spark 4
def test_on_spark_connect_nothing_is_set(tmp_path):
    script = """
from flowspark.session import spark_session
with spark_session(debug=False) as spark:
    print(spark.range(3).count())
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment(SPARK_REMOTE="local[1]", SPARK_LOCAL_IP="127.0.0.1", AWS_ENDPOINT_URL="http://127.0.0.1:9"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "3"
    assert "CANNOT_MODIFY_CONFIG" not in run.stderr


@contextmanager
def blocked_run(folder: Path, *extra: str, **env: str) -> Iterator[subprocess.Popen]:
    """A run of the job that waits in its scan for a worker that never works."""
    write(folder / "logs" / "a.log", log(flow(443)))
    write(folder / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    worker = write(folder / "worker", f"#!/bin/sh\ntouch '{folder}/blocked'\nexec cat >/dev/null\n".encode())
    worker.chmod(0o755)
    flags = ["--input", folder / "logs", "--lookup", folder / "lookup.csv", "--output", folder / "out", *extra]
    with subprocess.Popen(
        [sys.executable, str(JOB), *map(str, flags)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=folder, env=environment(PYSPARK_PYTHON=str(worker), **env), start_new_session=True,
    ) as run:  # fmt: skip
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.05)


def java_of(run: subprocess.Popen) -> int:
    """The process id of the Java that a run has started."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "java":
                return int(child)
        time.sleep(0.02)
    raise AssertionError("the run has started no Java")


def messages(stderr: str) -> list[str]:
    """The lines on stderr that speak of an error; those of Spark's start and the job's own log are left out."""
    noise = ("WARNING: Using incubator", "Using Spark's default", "Setting default log level", "To adjust logging level")
    return [
        line for line in stderr.splitlines() if not line.startswith(noise) and " WARN " not in line and " INFO " not in line
    ]


def test_a_java_that_is_killed_in_mid_run_is_one_message(tmp_path):
    with blocked_run(tmp_path) as run:
        wait_for(tmp_path / "blocked")
        os.kill(java_of(run), signal.SIGKILL)
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout) == (1, "")
    (message,) = messages(stderr)
    assert message.startswith(
        "error: Java, which runs Spark, has died during the run: it was killed, ran out of memory, or "
    )
    for hint in ("hs_err_pid*.log", "kernel's log", "memory limit", "--driver-memory"):
        assert hint in message


@pytest.mark.newest
def test_a_java_that_is_killed_before_spark_is_ready_is_one_message(tmp_path):
    with blocked_run(tmp_path) as run:
        os.kill(java_of(run), signal.SIGKILL)
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout) == (1, "")
    (message,) = messages(stderr)
    assert message.startswith("error: Java, which runs Spark, could not be started, or was killed before Spark was ready.")


@pytest.mark.newest
def test_a_java_that_is_killed_after_the_results_hides_nothing(tmp_path):
    """The job's own end, but for a Java that dies before Spark is stopped."""
    script = """
import os, signal, sys
from pyspark import SparkContext
from flowspark import cli
show = cli._show
def show_and_kill(*texts):
    show(*texts)
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
    SparkContext._gateway.proc.wait()
cli._show = show_and_kill
sys.exit(cli.main(sys.argv[1:]))
"""
    write(tmp_path / "logs" / "a.log", log(flow(443)))
    write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    run = subprocess.run(
        [sys.executable, "-c", script, "--input", "logs", "--lookup", "lookup.csv", "--output", "out"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert messages(run.stderr) == []
    assert json.loads(run.stdout.splitlines()[-1]) == published_summary(tmp_path / "out")


@pytest.mark.parametrize(
    ("memory", "words"),
    [("-Xmx16m", "error: "), ("-Xmx2g -XX:NoSuchOption", "error: Java, which runs Spark, could not be started")],
)
def test_a_java_that_cannot_start_is_one_message(tmp_path, memory, words):
    with blocked_run(tmp_path, PYSPARK_SUBMIT_ARGS=f"--driver-java-options '{memory}' pyspark-shell") as run:
        stdout, stderr = run.communicate(timeout=120)
    assert (run.returncode, stdout) == (1, "")
    assert [line for line in stderr.splitlines() if line.startswith("error: ")] == [stderr.splitlines()[-1]]
    assert stderr.splitlines()[-1].startswith(words)
    assert "Traceback" not in stderr


@pytest.mark.newest
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_run_that_is_told_to_end_says_so_and_publishes_nothing(tmp_path, name):
    with blocked_run(tmp_path) as run:
        wait_for(tmp_path / "blocked")
        os.kill(run.pid, getattr(signal, name))
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout) == (1, "")
    assert messages(stderr) == ["error: interrupted; the run publishes no summary"]
    assert not (tmp_path / "out" / "summary").exists()


@pytest.mark.newest
def test_a_package_that_the_driver_lacks_is_one_sentence_before_any_log_is_read(tmp_path):
    script = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda wanted, *more: None if wanted == "pandas" else find(wanted, *more)
from flowspark.cli import main
sys.exit(main(["--input", "none", "--lookup", "none", "--output", "out"]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment()
    )
    assert run.returncode == 1
    assert run.stderr == (
        f"error: pandas is missing on the driver; run {sys.executable} -m pip install 'pandas>=1.5.3,<3'\n"
    )

"""The packaged job on YARN, in client and cluster mode: what it publishes, and what a scheduler sees when it fails."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyspark
import pytest

from flowspark.errors import UsageError
from tests.clusters.conftest import job_command, submit, tables
from tests.clusters.yarn import Yarn, yarn
from tests.logs import write
from tests.quick_java import JAVA

Done = subprocess.CompletedProcess[str]
_PYTHON = "./environment/bin/python"  # in the working folder of each container, where YARN unpacks the archive


@pytest.fixture(scope="module")
def cluster(_server, tmp_path_factory) -> Iterator[Yarn]:  # the containers inherit where the server is
    with yarn(tmp_path_factory.mktemp("yarn")) as running:
        yield running


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory) -> Path:
    """An environment that only leads to this test's interpreter, for runs that fail: unpacking the real one takes long."""
    python = write(tmp_path_factory.mktemp("small") / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'.encode())
    python.chmod(0o755)
    path = python.with_name("environment.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(python, "bin/python")
    return path


@pytest.fixture
def run(cluster, logs, package, small_archive, job):
    """Runs the job on YARN with an environment archive, in a mode, with flags."""

    def start(mode: str, *flags: str, python: str = _PYTHON, archive: Path = small_archive) -> Done:
        settings = {
            "spark.yarn.jars": f"local:{Path(pyspark.__file__).parent}/jars/*",
            "spark.yarn.stagingDir": f"file:{cluster.conf.parent}/staging",
            "spark.yarn.maxAppAttempts": "1",
            "spark.yarn.am.extraJavaOptions": JAVA,
            "spark.executor.instances": "1",
            "spark.pyspark.python": python,
            "spark.pyspark.driver.python": sys.executable if mode == "client" else _PYTHON,
        }
        options = ["--deploy-mode", mode, "--archives", f"{archive}#environment"]
        options += [f"--conf={name}={value}" for name, value in settings.items()]
        command = job_command("yarn", logs, f"yarn-{mode}", package, job, *options)
        command += [flag.format(bucket=f"s3://{logs.name}") for flag in flags]
        return submit(command, HADOOP_CONF_DIR=str(cluster.conf))

    return start


def application(found: Done) -> str:
    """The id of the application that spark-submit has started."""
    (app,) = set(re.findall(r"application_\d+_\d+", found.stderr))
    return app


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_on_yarn_the_job_publishes_what_a_local_run_publishes(cluster, run, environment_archive, logs, reference, mode):
    found = run(mode, "--reader", "spark" if mode == "client" else "direct", archive=environment_archive)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Final-State : SUCCEEDED" in cluster.status(application(found))
    assert tables(logs, f"yarn-{mode}") == reference


class Failure(NamedTuple):
    """A run that fails: the job's exit code, its flags, the interpreter of the executors, and a part of the message."""

    code: int
    message: str
    flags: tuple[str, ...] = ()
    python: str = _PYTHON


FAILURES = [
    Failure(1, 'Cannot run program "./environment/bin/nowhere"', python="./environment/bin/nowhere"),
    Failure(2, "unrecognized arguments: --lokup x (did you mean --lookup?)", ("--lokup", "x")),
    Failure(3, "/nothing does not exist", ("--input", "{bucket}/nothing", "--output", "{bucket}/failed")),
    Failure(4, "record lines were rejected", ("--max-reject-ratio", "0.01")),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.code)
def test_in_client_mode_a_scheduler_sees_the_exit_code_and_the_message(cluster, run, failure):
    found = run("client", *failure.flags, python=failure.python)
    assert found.returncode == failure.code, found.stdout + found.stderr
    message = re.escape(failure.message)
    assert re.search(f"error: .*{message}", found.stdout)
    assert re.search(f" ERROR flowspark: flowspark failed with exit code {failure.code}: .*{message}", found.stderr)
    if failure.code != UsageError.exit_code:  # then no application is started
        assert "Final-State : SUCCEEDED" in cluster.status(application(found)), "YARN itself is told of no failure"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.code)
def test_in_cluster_mode_a_scheduler_sees_1_and_the_diagnostics_have_code_and_message(cluster, run, failure):
    found = run("cluster", *failure.flags, python=failure.python)
    assert found.returncode == 1, found.stdout + found.stderr
    sentence = f"flowspark failed with exit code {failure.code}: .*{re.escape(failure.message)}"
    status = cluster.status(application(found))
    assert "Final-State : FAILED" in status
    assert re.search(sentence, status), "YARN's diagnostics"
    assert re.search(sentence, found.stderr), "spark-submit shows the diagnostics"
    assert re.search(f" ERROR flowspark: {sentence}", cluster.container_log(application(found), "stderr")), (
        "Spark's log on the driver"
    )

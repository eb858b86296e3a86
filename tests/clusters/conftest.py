"""What the tests on clusters share: the package as it is shipped, a bucket of sample logs, and how a job is submitted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logs import flow, log
from tests.quick_java import JAVA
from tests.s3_server import ROOT, S3_CONF, Bucket, s3_jars

SAMPLE = ROOT / "tests" / "sample"
SMALL_FILES = 24
TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")


@pytest.fixture(scope="session", autouse=True)
def _no_interpreter() -> Iterator[None]:
    """Takes away the caller's choice of an interpreter, so that each test says itself which one its processes use."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """The zip for `--py-files`."""
    return packaged(tmp_path_factory.mktemp("package"), "zip")


@pytest.fixture(scope="session")
def environment_archive(tmp_path_factory) -> Path:
    """The environment for `--archives`: Python, flowspark and all that it needs but pyspark."""
    return packaged(tmp_path_factory.mktemp("environment"), "environment")


@pytest.fixture(scope="session")
def job(tmp_path_factory) -> Path:
    """The job alone, without the package beside it."""
    path = tmp_path_factory.mktemp("job") / "tag_flows.py"
    path.write_bytes((ROOT / "jobs" / "tag_flows.py").read_bytes())
    return path


@pytest.fixture
def sample(bucket: Bucket) -> Bucket:
    """A bucket with the bundled sample."""
    for path in (SAMPLE / "logs").rglob("*.gz"):
        bucket.put(str(path.relative_to(SAMPLE)), path.read_bytes())
    bucket.put("lookup.csv", (SAMPLE / "lookup.csv").read_bytes())
    return bucket


@pytest.fixture(scope="session")
def logs(_server) -> Bucket:
    """A bucket with the bundled sample, and many small files beside it: where the server takes its time, reading lasts."""
    bucket = Bucket(_server)
    for path in (SAMPLE / "logs").rglob("*.gz"):
        bucket.put(str(path.relative_to(SAMPLE)), path.read_bytes())
    for n in range(SMALL_FILES):
        bucket.put(f"logs/small/{n:02}.log", log(*[flow(443), flow(53, 17), "bad", flow(n)] * 50))
    bucket.put("lookup.csv", (SAMPLE / "lookup.csv").read_bytes())
    return bucket


@pytest.fixture(scope="session")
def reference(logs, package, job) -> dict[str, bytes]:
    """What a local run publishes of these logs."""
    found = submit(job_command("local[2]", logs, "local", package, job))
    assert found.returncode == 0, found.stdout + found.stderr
    return tables(logs, "local")


def job_command(master: str, bucket: Bucket, output: str, package: Path, job: Path, *options: str) -> list[str]:
    """The command that runs the job on a master, from bucket to bucket. The jars for S3 are on each machine already.

    Args:
        master: the master.
        bucket: has the logs and the lookup, and gets the results.
        output: the key of the results.
        package: the zip for `--py-files`.
        job: the job's file.
        options: of spark-submit.
    """
    jars = ",".join(f"local:{path}" for path in s3_jars().split(","))
    command = ["spark-submit", "--master", master, "--properties-file", str(S3_CONF), "--jars", jars]
    command += ["--py-files", str(package), "--conf", "spark.ui.enabled=false"]
    for name in ("driver", "executor"):
        command += ["--conf", f"spark.{name}.extraJavaOptions={JAVA}", f"--conf=spark.{name}.memory=600m"]
    command += ["--executor-cores", "1", *options, str(job), "--input", bucket.uri("logs")]
    return [*command, "--lookup", bucket.uri("lookup.csv"), "--output", bucket.uri(output), "--max-reject-ratio", "1"]


def tables(bucket: Bucket, output: str) -> dict[str, bytes]:
    """The published results of a run, by name."""
    keys = {name: [k for k in bucket.keys(f"{output}/{name}/interval=all/") if "/part-" in k] for name in TABLES}
    assert [len(parts) for parts in keys.values()] == [1] * len(TABLES), keys
    return {name: bucket.get(parts[0]) for name, parts in keys.items()}


def packaged(folder: Path, *arguments: str) -> Path:
    """The package that scripts/package builds into a folder."""
    command = [ROOT / "scripts" / "package", *arguments, "--to", folder]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def submit(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with this environment's Spark on the path, and nothing of the checkout on Python's."""
    base = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYSPARK_SUBMIT_ARGS")}
    base |= {"PATH": f"{Path(sys.executable).parent}:{base['PATH']}", "PYSPARK_PYTHON": sys.executable}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=base | environment)

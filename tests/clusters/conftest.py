"""What the tests on clusters share: the package as it is shipped, a bucket of sample logs, and how a job is submitted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3_server import ROOT, Bucket

SAMPLE = ROOT / "tests" / "sample"
TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")


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

"""The library and the job on a Spark Connect server, from a Python that has its client alone: no Java, no pyspark."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowspark.connect import package_zip
from tests.clusters.conftest import SAMPLE, TABLES, submit, tables
from tests.clusters.connect import TOKEN, Relay, connect_server, relay
from tests.logs import NODATA, flow, log, write
from tests.s3_server import ROOT

LOCAL = ("--input", str(SAMPLE / "logs"), "--lookup", str(SAMPLE / "lookup.csv"), "--shared-filesystem")
RECIPE = ROOT / "conf" / "databricks" / "tag_days.py"

LIBRARY = """
import sys, flowspark
from pyspark.sql import SparkSession
folder = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
lookup = flowspark.load_lookup(spark, f"{folder}/lookup.csv")
for reader in ("direct", "spark"):
    records = flowspark.read_flow_logs(spark, f"{folder}/logs", reader=reader, shared_filesystem=True)
    tagged = records.transform(flowspark.tag_flows, lookup=lookup)
    print(sorted(tuple(row) for row in tagged.transform(flowspark.count_tags).collect()))
    print(sorted(tuple(row) for row in records.transform(flowspark.count_port_protocols).collect()))
spark.stop()
"""


@pytest.fixture(scope="session")
def client() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the client's Python with a server and a place where the package is."""
    made = subprocess.run([ROOT / "scripts" / "env", "connect"], stdout=subprocess.PIPE, text=True, check=True)
    base = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SPARK_"))}

    def run(
        remote: str, *arguments: str | Path, package: Path = ROOT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        own = {"SPARK_REMOTE": remote, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", "JAVA_HOME": "/nowhere"}
        command = [made.stdout.strip(), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300, env=base | own | environment
        )

    return run


@pytest.fixture(scope="module")
def port(_server, tmp_path_factory) -> Iterator[int]:
    with connect_server(tmp_path_factory.mktemp("connect")) as port:
        yield port


@pytest.fixture(scope="module")
def remote(port: int) -> str:
    return f"sc://localhost:{port}/;token={TOKEN}"


@pytest.fixture
def serverless(port: int) -> Iterator[tuple[Relay, str]]:
    """A stand-in for Databricks' serverless compute, and its address."""
    with relay(port) as (handler, own):
        yield handler, f"sc://localhost:{own}/;token={TOKEN}"


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> dict[str, bytes]:
    """What a local run of classic Spark publishes for the sample."""
    output = tmp_path_factory.mktemp("reference")
    run = submit([sys.executable, str(ROOT / "jobs" / "tag_flows.py"), *LOCAL, "--output", str(output)])
    assert run.returncode == 0, run.stdout + run.stderr
    return published(output)


def published(output: Path) -> dict[str, bytes]:
    return {name: part.read_bytes() for name in TABLES for part in output.glob(f"{name}/interval=all/part-*")}


def rows(table: bytes, leave_out: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The rows of a published CSV, with file names in place of paths."""
    found = csv.DictReader(io.StringIO(table.decode(), newline=""))
    return [
        {
            name: Path(value).name if name in ("file", "path") else value
            for name, value in row.items()
            if name not in leave_out
        }
        for row in found
    ]


def test_the_job_publishes_the_bytes_of_a_local_run(client, remote, reference, tmp_path):
    found = client(remote, ROOT / "jobs" / "tag_flows.py", *LOCAL, "--output", tmp_path)
    assert found.returncode == 0, found.stderr
    assert published(tmp_path) == reference
    assert json.loads(found.stdout.splitlines()[-1])["books"]["files"] == 6
    assert "Warning" not in found.stderr, "neither pyspark nor Python warns of a plain run"


def test_the_job_runs_from_bucket_to_bucket_with_the_package_in_a_zip(client, remote, reference, sample, tmp_path):
    package = tmp_path / "any-name.zip"
    package.write_bytes(package_zip())
    places = ("--input", sample.uri("logs"), "--lookup", sample.uri("lookup.csv"), "--output", sample.uri("out"))
    found = client(remote, "-m", "flowspark", *places, package=package)
    assert found.returncode == 0, found.stderr
    results = tables(sample, "out")
    for name in ("tag_counts", "port_protocol_counts"):
        assert results[name] == reference[name]
    assert rows(results["rejects"]) == rows(reference["rejects"])
    assert rows(results["files"], ("modified",)) == rows(reference["files"], ("modified",))


def test_the_library_gives_the_server_the_package_by_itself(client, remote, tmp_path):
    write(tmp_path / "logs" / "a.log", log(flow(443), flow(443), NODATA, "bad"), compress=True)
    write(tmp_path / "logs" / "b.log", log("53 17 OK x", header="dstport protocol log-status new-field"))
    write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    script = tmp_path / "library.py"
    script.write_text(LIBRARY)
    found = client(remote, script, tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == 2 * ["[('Untagged', 1), ('web', 2)]", "[(53, 'udp', 1), (443, 'tcp', 2)]"]


def test_a_server_that_cannot_be_used_is_one_message_that_does_not_show_the_token(client, port):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        for remote, reason in (
            ("sc://127.0.0.1:1", "Connection refused"),
            ("sc://nowhere.invalid:15002", "nowhere.invalid"),
            (f"sc://localhost:{port}/;token=secret", "Invalid authentication token"),
            (f"sc://localhost:{port}/;use_ssl=true;token=secret", "handshake failed"),
            (f"sc://127.0.0.1:{silent.getsockname()[1]}", "no answer"),
        ):
            found = client(remote, "-m", "flowspark", *LOCAL, "--output", "/nowhere")
            assert found.returncode == 1, found.stderr
            (message,) = found.stderr.splitlines()
            assert message.startswith(f"error: Spark Connect: {remote.split('/;')[0]} cannot be used: ")
            assert reason in message
            assert "secret" not in message


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("localhost:15002", "write sc://HOST:PORT"),
        ("sc://localhost:15002;token=secret", "write sc://HOST:PORT"),
        ("sc://localhost:15002/;token=secret==", "write sc://HOST:PORT"),
        ("", "set SPARK_REMOTE="),
    ],
)
def test_an_address_that_is_none_is_wrong_usage_and_shows_no_token(client, remote, message):
    found = client(remote, "-m", "flowspark", *LOCAL, "--output", "/nowhere")
    assert (found.returncode, message in found.stderr) == (2, True), found.stderr
    assert "secret" not in found.stderr


def test_the_job_runs_where_few_settings_can_be_set_and_only_spark_reaches_the_storage(
    client, serverless, reference, sample
):
    # as on Databricks' serverless compute: neither the driver nor the Python workers have credentials or a network
    stand_in, remote = serverless
    output = sample.uri("out")
    places = ("--input", sample.uri("logs"), "--lookup", sample.uri("lookup.csv"), "--output", output)
    alone = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    alone["DATABRICKS_RUNTIME_VERSION"] = "17.3"
    found = client(remote, RECIPE, "--due=2026-11-23", "--interval=scheduled", *places, **alone)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1])["interval"] == "2026-11-22", "the last line of the run's output"
    for name in ("tag_counts", "port_protocol_counts"):
        (part,) = (key for key in sample.keys(f"out/{name}/interval=2026-11-22/") if "/part-" in key)
        assert sample.get(part) == reference[name]
    assert stand_in.refused, "a setting that cannot be set is done without"
    assert "cannot be listed" not in found.stderr, "flowspark itself does not try"
    assert "ReleaseSession" not in stand_in.calls, "a session of the platform stays"


def test_where_the_server_takes_no_files_a_missing_package_is_one_message(client, serverless, tmp_path):
    stand_in, remote = serverless
    stand_in.takes_files = False
    found = client(remote, "-m", "flowspark", *LOCAL, "--output", tmp_path)
    assert found.returncode == 1, found.stderr
    assert "flowspark is missing on a worker; " in found.stderr.splitlines()[-1]
    assert not [*tmp_path.glob("summary/*")]

"""Which paths a run takes on which machines: a table of masters and paths, and what Databricks makes of a path."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flowspark.errors import InputError, UsageError
from flowspark.files import is_direct, is_local, platform_uri, written_path
from flowspark.locations import check_location
from flowspark.lookup_table import read_lookup
from flowspark.machines import check_paths, check_same_files, on_one_machine
from flowspark.settings import load_settings
from tests.logs import write

ONE_MACHINE = ("local", "local[*]", "local[2]", "local[*, 4]", "local-cluster[2,1,1024]")
CLUSTERS = ("spark://10.0.0.1:7077", "yarn", "k8s://https://10.0.0.1:443", "custom:emr-serverless")
PLAIN = ("logs", "/logs", "/Volumes/a/b/c/logs", "/dbfs/logs", "/Workspace/logs", "file:/logs", "file:///logs")
SHARED = ("s3://bucket/logs", "s3a://bucket/logs", "hdfs:///logs", "hdfs://name:8020/logs", "gs://b/a", "dbfs:/Volumes/a")


def session(master: str) -> SimpleNamespace:
    """As much of a classic session as tells its master."""
    return SimpleNamespace(sparkContext=SimpleNamespace(master=master))


CONNECT = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()  # such a session tells no master


@pytest.mark.parametrize("uri", [*PLAIN, *SHARED])
@pytest.mark.parametrize("master", ONE_MACHINE)
def test_on_one_machine_every_path_is_taken(master, uri):
    check_paths(session(master), [uri], uri, shared=False)


@pytest.mark.parametrize("uri", PLAIN)
@pytest.mark.parametrize("master", CLUSTERS)
def test_on_a_cluster_a_local_path_is_refused_unless_it_is_said_to_be_shared(master, uri):
    for inputs, output, name in (([uri], "s3://bucket/out", "input"), (["s3://bucket/logs"], uri, "output")):
        with pytest.raises(UsageError) as caught:
            check_paths(session(master), inputs, output, shared=False)
        assert str(caught.value).startswith(f"{name} {uri} is a path on a machine's own disk")
        assert f"(master {master})" in str(caught.value)
        assert "--shared-filesystem" in str(caught.value)
        assert caught.value.exit_code == 2
        check_paths(session(master), inputs, output, shared=True)


@pytest.mark.parametrize("uri", SHARED)
@pytest.mark.parametrize("master", CLUSTERS)
def test_on_a_cluster_storage_that_all_machines_reach_is_taken(master, uri):
    check_paths(session(master), [uri, uri], uri, shared=False)


def test_one_local_input_among_others_is_enough():
    with pytest.raises(UsageError, match=r"^input /b is a path"):
        check_paths(session("yarn"), ["s3://bucket/a", "/b"], shared=False)


def test_a_connect_server_is_another_machine_unless_pyspark_has_started_it(monkeypatch):
    monkeypatch.delenv("SPARK_LOCAL_REMOTE", raising=False)
    with pytest.raises(UsageError, match=r"\(Spark Connect\)"):
        check_paths(CONNECT, ["/logs"], shared=False)
    monkeypatch.setenv("SPARK_LOCAL_REMOTE", "1")
    check_paths(CONNECT, ["/logs"], shared=False)
    assert on_one_machine(CONNECT)


def test_a_lookup_is_read_by_the_driver_and_may_lie_on_its_own_disk(tmp_path):
    path = write(tmp_path / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    for master in ("local[2]", "yarn"):
        assert read_lookup(session(master), str(path)).mappings == [(443, 6, "web")]
    with pytest.raises(InputError, match=r"check the path$"):
        read_lookup(session("local[2]"), "none.csv")
    with pytest.raises(InputError, match=r"in cluster mode, ship it with --files and give its bare name$"):
        read_lookup(session("yarn"), "none.csv")


def test_without_a_local_path_or_on_one_machine_no_job_looks_for_files(tmp_path):
    check_same_files(session("yarn"), ["s3://bucket/logs"], "s3://bucket/out", "1")  # a job would need more of a session
    check_same_files(session("local[2]"), [str(tmp_path)], str(tmp_path), "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/Volumes/main/net/logs", "dbfs:/Volumes/main/net/logs"),
        ("/Volumes/main//net/a b%20/", "dbfs:/Volumes/main/net/a b%20"),
        ("file:/Volumes/main/net/a%20b", "dbfs:/Volumes/main/net/a b"),
        ("file:///Volumes/main/net", "dbfs:/Volumes/main/net"),
        ("/dbfs/mnt/logs", "dbfs:/mnt/logs"),
        ("/dbfs/Volumes/main/net", "dbfs:/Volumes/main/net"),
        ("file:/dbfs/mnt/logs", "dbfs:/mnt/logs"),
        ("dbfs:/Volumes/main/net", "dbfs:/Volumes/main/net"),
        ("dbfs:/mnt/logs", "dbfs:/mnt/logs"),
        ("/Workspace/Users/me/logs", "/Workspace/Users/me/logs"),
        ("/Volumes2/logs", "/Volumes2/logs"),
        ("/tmp/Volumes/logs", "/tmp/Volumes/logs"),
        ("s3://bucket/Volumes/logs", "s3://bucket/Volumes/logs"),
    ],
)
def test_on_databricks_volumes_and_dbfs_are_given_to_spark_as_it_takes_them(monkeypatch, given, taken):
    assert platform_uri(given) == given
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert platform_uri(given) == platform_uri(taken) == taken
    settings = load_settings({"input": [given], "lookup": given, "output": given})
    assert (settings.input, settings.lookup, settings.output) == ((taken,), taken, taken)
    assert not written_path(taken).startswith("file:///Volumes/")


def test_a_relative_path_on_databricks_is_where_it_leads_to(monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    monkeypatch.setattr("os.getcwd", lambda: "/Volumes/main/net/jobs")
    assert platform_uri("../logs") == "dbfs:/Volumes/main/net/logs"


def test_on_databricks_a_workspace_folder_can_be_read_on_all_machines_and_is_never_written(monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    workspace = "/Workspace/Users/me/logs"
    assert is_local(workspace)
    assert is_direct(workspace)
    assert written_path(workspace) == f"file://{workspace}"
    for spark in (session("spark://10.0.0.1:7077"), CONNECT):
        check_paths(spark, [workspace, f"file:{workspace}"], "dbfs:/Volumes/a", shared=False)
    for shared in (False, True):
        with pytest.raises(UsageError, match=r"is a workspace folder, which executors cannot write; .*/Volumes/"):
            check_paths(session("local[*, 4]"), ["s3://bucket/a"], workspace, shared=shared)
    with pytest.raises(UsageError, match=r"^input /tmp/logs is a path .*use storage that all of them reach \(/Volumes/"):
        check_paths(session("spark://10.0.0.1:7077"), ["/tmp/logs"], shared=False)


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("dbfs://Volumes/main/net", "names a host, 'Volumes'; write dbfs:/Volumes/main/net"),
        ("dbfs//Volumes/main", "looks like a URI, but is a local path; write dbfs:/Volumes/main or"),
    ],
)
def test_a_dbfs_uri_has_one_slash_or_three(uri, hint):
    check_location("input", "dbfs:///Volumes/main/net")
    with pytest.raises(UsageError) as caught:
        check_location("input", uri)
    assert hint in str(caught.value)

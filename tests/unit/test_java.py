"""How Java is started for a local run: quickly, where the person who runs it has set nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowspark.java import launch_settings, launches_local
from tests.logs import write

JAVA = "spark.driver.extraJavaOptions"
PROGRESS = "spark.ui.showConsoleProgress"


@pytest.fixture
def conf(tmp_path) -> Path:
    """A folder of configuration, as SPARK_CONF_DIR names it."""
    (tmp_path / "conf").mkdir()
    return tmp_path / "conf"


def test_a_short_run_has_a_small_java_and_no_progress_bar_in_a_file(conf):
    environment = {"SPARK_CONF_DIR": str(conf), "FLOWSPARK_CLASS_ARCHIVE": "off"}
    assert launches_local(environment)
    assert launch_settings(environment) == {PROGRESS: "false", JAVA: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


@pytest.mark.parametrize(
    "line",
    [
        "spark.driver.extraJavaOptions -XX:+UseG1GC",
        "spark.driver.extraJavaOptions=-Dkey=value",
        "  spark.driver.defaultJavaOptions\t-XX:+UseZGC",
    ],
)
def test_options_for_java_in_a_configuration_file_stay(conf, line):
    write(conf / "spark-defaults.conf", f"spark.ui.enabled true\n{line}\n".encode())
    assert launch_settings({"SPARK_CONF_DIR": str(conf)}) == {PROGRESS: "false"}
    home = {"SPARK_HOME": str(conf.parent)}  # whose folder conf it is, where no SPARK_CONF_DIR is set
    assert launch_settings(home) == {PROGRESS: "false"}


@pytest.mark.parametrize(
    "arguments",
    [
        "--driver-java-options '-XX:+UseG1GC' pyspark-shell",
        "--driver-java-options=-XX:+UseG1GC pyspark-shell",
        "--conf spark.driver.extraJavaOptions=-XX:+UseG1GC pyspark-shell",
        "--properties-file '{folder}/my own.conf' pyspark-shell",
        "--properties-file='{folder}/my own.conf' pyspark-shell",
    ],
)
def test_options_for_java_in_the_arguments_for_pyspark_stay(conf, arguments):
    write(conf / "my own.conf", b"spark.driver.defaultJavaOptions -XX:+UseG1GC\n")
    environment = {"SPARK_CONF_DIR": "/nowhere", "PYSPARK_SUBMIT_ARGS": arguments.format(folder=conf)}
    assert JAVA not in launch_settings(environment)


@pytest.mark.parametrize("name", ["SPARK_SUBMIT_OPTS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"])
def test_options_for_java_in_the_environment_stay(conf, name):
    assert JAVA not in launch_settings({"SPARK_CONF_DIR": str(conf), name: "-XX:+UseG1GC"})
    assert JAVA in launch_settings({"SPARK_CONF_DIR": str(conf), name: ""})


def test_comments_and_options_of_executors_are_no_options_of_the_driver(conf):
    comments = b"# spark.driver.extraJavaOptions -XX:+UseG1GC\n # spark.master yarn\n"
    write(conf / "spark-defaults.conf", comments + b"spark.executor.extraJavaOptions -Dkey=value\n")
    environment = {"SPARK_CONF_DIR": str(conf)}
    assert launches_local(environment)
    assert JAVA in launch_settings(environment)


def test_the_progress_bar_stays_where_it_is_set(conf):
    write(conf / "spark-defaults.conf", b"spark.ui.showConsoleProgress true\n")
    assert PROGRESS not in launch_settings({"SPARK_CONF_DIR": str(conf)})


@pytest.mark.parametrize(
    ("line", "arguments", "variable", "local"),
    [
        ("spark.master local[2]", "pyspark-shell", "", True),
        ("spark.master local", "--master 'local[4, 2]' pyspark-shell", "local[*]", True),
        ("spark.master local-cluster[1,1,1024]", "pyspark-shell", "", False),
        ("spark.master=yarn", "pyspark-shell", "", False),
        ("spark.master: spark://host:7077", "pyspark-shell", "", False),
        ("", "--master yarn pyspark-shell", "", False),
        ("", "--master=k8s://https://host pyspark-shell", "", False),
        ("", "--conf spark.master=yarn pyspark-shell", "", False),
        ("", "pyspark-shell", "yarn", False),
    ],
)
def test_a_master_is_found_wherever_spark_would_read_it(conf, line, arguments, variable, local):
    write(conf / "spark-defaults.conf", line.encode())
    environment = {"SPARK_CONF_DIR": str(conf), "PYSPARK_SUBMIT_ARGS": arguments, "MASTER": variable}
    assert launches_local(environment) is local


def test_the_archive_of_classes_is_the_one_of_the_environment_or_the_one_that_is_named(conf, monkeypatch):
    environment = {"SPARK_CONF_DIR": str(conf)}
    monkeypatch.setattr(sys, "prefix", str(conf))
    assert "SharedArchiveFile" not in launch_settings(environment)[JAVA]  # there is none
    own, other = write(conf / "flowspark-classes.jsa", b""), write(conf / "other.jsa", b"")
    assert f'"-XX:SharedArchiveFile={own}"' in launch_settings(environment)[JAVA]
    named = environment | {"FLOWSPARK_CLASS_ARCHIVE": str(other)}
    assert f'"-XX:SharedArchiveFile={other}"' in launch_settings(named)[JAVA]
    for off in ("", "off", str(conf / "gone.jsa")):
        assert "SharedArchiveFile" not in launch_settings(environment | {"FLOWSPARK_CLASS_ARCHIVE": off})[JAVA]

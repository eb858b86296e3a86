"""The command without Spark: how it is called, and what it prints of texts that come from outside."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import flowspark
from flowspark import cli, report
from flowspark.errors import cause, printable
from tests.logs import write

ROOT = Path(__file__).parent.parent.parent
JOB = ROOT / "jobs" / "tag_flows.py"


def call(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False, cwd=cwd, env=clean | env
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\r\n\t\x00\x7f", r"\x1b[2J\r\n\t\x00\x7f"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\u202a\u202e\u2066\u2069\u200e\u200f\u061c", r"\u202a\u202e\u2066\u2069\u200e\u200f\u061c"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\udcff", r"\udcff"),  # a byte of a file name that is not UTF-8
        ("naïve Ω 日本 🦊 a\\n\u200d", "naïve Ω 日本 🦊 a\\n\u200d"),
    ],
)
def test_characters_that_steer_a_terminal_are_shown_as_escapes(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def result(tag: str, output: str = "out") -> SimpleNamespace:
    """What a run of one flow has found."""
    kinds = dict.fromkeys(("header", "blank", "nodata", "skipdata", "rejected"), 0)
    summary = {
        "books": {"files": 1, "lines": 1, "flows": 1} | kinds, "tagged": 1, "untagged": 0, "interval": "all",
        "run_id": "1", "settings": {"output": output}, "tag": tag,
    }  # fmt: skip
    tags = SimpleNamespace(rows=[(tag, 1)], total=1)
    return SimpleNamespace(summary=summary, tops=(tags, SimpleNamespace(rows=[(443, "tcp", 1)], total=1)))


def test_a_cell_of_a_table_cannot_steer_the_terminal_nor_break_the_table():
    lines = report.tables(result("we\x1b[31mb\n\tx", "o\rut")).splitlines()
    assert lines[:3] == [
        r"tag               flows     share",
        r"----------------  -----  --------",
        r"we\x1b[31mb\n\tx      1  100.00 %",
    ]
    assert lines[-1] == r"Output: o\rut (interval=all)"


def test_the_last_line_is_json_without_control_characters_and_with_the_same_values(capsys):
    tag = "\x7f\x9b\u202e\u2028é\U0001f98a\udcff"
    cli._show("tables", report.json_line({"tag": tag}))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.isascii()
    assert last.isprintable()
    assert json.loads(last) == {"tag": tag}


def test_a_message_keeps_its_own_lines_and_shows_escapes(capsys):
    message = "2 files:\n  a\x1b.log\n  b\r.log"
    assert cli._fail(message, 3, "text") == 3
    assert capsys.readouterr().err == "error: 2 files:\n  a\\x1b.log\n  b\\r.log\n"
    assert cli._fail(message, 3, "json") == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1, "a collector of logs takes each line for one object"
    assert json.loads(said).items() >= {"level": "ERROR", "message": message, "exit_code": 3}.items()


def test_a_log_record_is_one_line():
    record = logging.LogRecord("flowspark", logging.WARNING, "", 0, "left out: %s", ("a\n\x1b.log",), None)
    assert cli._Formatter("%(levelname)s %(message)s").format(record) == r"WARNING left out: a\n\x1b.log"


def test_an_argument_with_control_characters_is_shown_with_escapes(capsys):
    assert cli.main(["--lookup", "x", "--b\x1b[2J\nad"]) == 2
    assert r"--b\x1b[2J\nad" in capsys.readouterr().err


def test_an_empty_config_is_an_error_of_its_own(capsys):
    assert cli.main(["--config", "", "--input", "a", "--lookup", "b", "--output", "c"]) == 2
    assert capsys.readouterr().err == "error: --config is empty; give the path of a TOML file, or leave the flag out\n"


def test_the_command_goes_by_the_name_that_was_called(tmp_path):
    job = call(JOB, "--nothing", cwd=tmp_path)
    module = call("-m", "flowspark", "--nothing", cwd=ROOT)
    assert (job.returncode, module.returncode) == (2, 2)
    assert job.stderr.startswith("usage: tag_flows.py ")
    assert module.stderr.startswith("usage: flowspark ")
    assert "\nflowspark: error: " in module.stderr


def test_the_job_without_its_package_says_what_to_ship(tmp_path):
    alone = write(tmp_path / "jobs" / "tag_flows.py", JOB.read_bytes())
    run = call("-S", alone, "--version", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "`scripts/package zip`" in run.stderr
    assert "spark-submit --py-files flowspark-….zip" in run.stderr


def test_a_fault_inside_the_package_is_not_mistaken_for_its_absence(tmp_path):
    write(tmp_path / "flowspark" / "__init__.py", b"")
    write(tmp_path / "flowspark" / "cli.py", b"import nowhere_to_be_found\n")
    run = call(write(tmp_path / "jobs" / "tag_flows.py", JOB.read_bytes()), cwd=tmp_path)
    assert "No module named 'nowhere_to_be_found'" in run.stderr


def test_every_public_name_is_listed_and_there():
    assert dir(flowspark) == sorted([*flowspark.__all__, "__version__"])
    for name in ("FlowsparkError", "UsageError", "InputError", "CheckError", "BadFile"):
        assert issubclass(getattr(flowspark, name), flowspark.FlowsparkError)


def test_a_full_java_heap_says_how_to_give_more():
    text = "An error occurred while calling o42.load.\n: java.lang.OutOfMemoryError: Java heap space\n\tat java.Whatever"
    assert cause(RuntimeError(text)).startswith(
        "java.lang.OutOfMemoryError: Java heap space; give Java more memory (spark-submit --driver-memory 4g, "
    )


def test_a_worker_of_another_python_is_told_with_what_to_set():
    for versions in ("version: 3.12 than that in driver: 3.11", "version (3, 12) than that in driver 3.11"):  # 4, and 3.5
        said = f"Python in worker has different {versions}"
        text = f"PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] {said}, PySpark cannot run with …"
        remedy = "both have to be of the same minor version: set PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON to such, or ship "
        assert cli._short(RuntimeError(text)).startswith(f"{said}; {remedy}")


def test_a_package_that_a_worker_lacks_is_named_with_what_to_ship():
    lacks = "ModuleNotFoundError: No module named '{}'"
    ours = cli._short(RuntimeError(lacks.format("flowspark.decode")))
    assert ours.startswith("flowspark is missing on a worker; ship the zip of `scripts/package zip` with --py-files ")
    assert "(a wheel there would reach only the driver)" in ours
    assert "On Spark Connect" in ours
    theirs = cli._short(RuntimeError(lacks.format("isal.igzip")))
    assert theirs.startswith(
        "isal is missing on a worker; install 'isal>=1.6' into the Python that PYSPARK_PYTHON names there"
    )

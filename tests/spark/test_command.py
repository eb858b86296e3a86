"""The command itself, as a person starts it: exit codes, stdout and stderr."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.logs import SKIPDATA, flow, log, write
from tests.quick_java import JAVA
from tests.spark.job import published_summary, read_csv

ROOT = Path(__file__).parent.parent.parent
JOB = ROOT / "jobs" / "tag_flows.py"
SAMPLE = ROOT / "tests" / "sample"


def start(*arguments: object, launcher: str = "python", cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    command = [sys.executable] if launcher == "python" else [str(Path(sys.executable).parent / "spark-submit")]
    if launcher == "spark-submit":
        command += ["--master", "local[2]", "--conf", "spark.ui.enabled=false", "--driver-java-options", JAVA]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYSPARK_PYTHON")}
    clean["PATH"] = f"{Path(sys.executable).parent}:{clean['PATH']}"  # an activated environment
    return subprocess.run(
        [*command, str(JOB), *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env=clean | {"PYTHONWARNINGS": "default"} | env,
    )  # fmt: skip


def job(folder: Path, content: bytes | None = None) -> list[object]:
    logs = folder / "logs"
    if content is not None:
        write(logs / "a.log", content)
    lookup = write(folder / "lookup.csv", b"dstport,protocol,tag\n443,tcp,web\n")
    return ["--input", logs, "--lookup", lookup, "--output", folder / "out"]


@pytest.mark.parametrize("launcher", ["python", "spark-submit"])
def test_the_sample_counts_as_ten_lines_of_python_count_it(tmp_path, launcher):
    arguments = ["--input", SAMPLE / "logs", "--lookup", SAMPLE / "lookup.csv", "--output", tmp_path / "out"]
    run = start(*arguments, launcher=launcher, cwd=tmp_path)
    assert run.returncode == 0, run.stderr

    numbers = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "esp": 50, "gre": 47}
    table, tags = {}, Counter()
    for row in csv.DictReader((SAMPLE / "lookup.csv").read_text().splitlines()):
        table.setdefault((row["dstport"], str(numbers[row["protocol"]])), []).append(row["tag"])
    for path in (SAMPLE / "logs").rglob("*.gz"):
        header, *lines = (line.split() for line in gzip.decompress(path.read_bytes()).decode().splitlines())
        for line in lines:
            record = dict(zip(header, line, strict=False))
            if len(line) == len(header) and record["log-status"] == "OK" and record["protocol"].isdigit():
                tags.update(table.get((record["dstport"], record["protocol"]), ["Untagged"]))
    assert Counter({tag: int(count) for tag, count in read_csv(tmp_path / "out", "tag_counts")[1:]}) == tags

    lines = run.stdout.splitlines()
    summary = json.loads(lines[-1])
    assert summary == published_summary(tmp_path / "out")
    assert summary["books"]["rejected"] == 4
    first = next(n for n, line in enumerate(lines) if line.split() == ["tag", "flows", "share"])
    assert lines[first + 2].split()[:2] == ["Untagged", f"{tags['Untagged']:,}"]
    told = run.stderr if launcher == "python" else run.stdout  # spark-submit joins Python's stderr to its stdout
    assert "3 SKIPDATA record(s)" in told
    assert "4 line(s) rejected (2 field_count, 1 bad_log_status, 1 bad_number)" in told
    assert "2 key(s) of the lookup have several tags" in told
    assert "Stage" not in run.stderr  # no progress bar where nobody watches


@pytest.mark.newest
def test_what_a_person_sees(tmp_path):
    content = log(*[flow(443)] * 1500, *(flow(port, 17) for port in range(1000, 1030)), SKIPDATA, header=None)
    run = start(*job(tmp_path, content))
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[:7] == [
        "tag       flows    share",
        "--------  -----  -------",
        "web       1,500  98.04 %",
        "Untagged     30   1.96 %",
        "",
        "dstport  protocol  flows    share",
        "-------  --------  -----  -------",
    ]
    assert "… and 11 row(s) more" in run.stdout
    assert "1 file(s), 1,531 lines = 0 header + 0 blank + 1,530 flows + 0 nodata + 1 skipdata + 0 rejected" in run.stdout


@pytest.mark.newest
def test_a_terminal_that_cannot_show_it_or_hangs_up_is_no_failure(tmp_path):
    arguments = job(tmp_path, log(*(flow(port) for port in range(50))))
    run = start(*arguments, PYTHONIOENCODING="latin-1")
    assert run.returncode == 0, run.stderr
    assert "? and 30 row(s) more" in run.stdout
    read, write_end = os.pipe()
    os.close(read)
    hung_up = subprocess.run(
        [sys.executable, str(JOB), *map(str, arguments)], stdout=write_end, stderr=subprocess.PIPE, check=False
    )
    os.close(write_end)
    assert hung_up.returncode == 0, hung_up.stderr.decode()


@pytest.mark.parametrize(
    ("content", "extra", "code", "message"),
    [
        (log(flow()), ["--lokup", "x"], 2, "did you mean --lookup?"),
        (log(flow()), ["--reader", "drect"], 2, "did you mean direct?"),
        (log(flow()), ["--max-reject-ratio", "1.5"], 2, "share from 0 to 1"),
        (log(flow()), ["--layout", "dstport"], 2, "neither log-status nor both"),
        (log(flow()), ["--config", "none.toml"], 2, "config file none.toml cannot be read"),
        (log(flow()), ["--input", "nowhere"], 3, "does not exist"),
        (log(flow()), ["--lookup", "."], 3, "is a folder; give the CSV file"),
        (gzip.compress(log(flow()))[:-3], [], 3, "a.log: the gzip ends too early"),
        (log("x"), [], 4, "1 of 1 record lines were rejected (1 field_count)"),
        (log(flow()), ["--input", "gs://bucket/logs", "--reader", "direct"], 2, "use --reader spark"),
        (log(flow()), ["--interval", "yesterday"], 2, "write it as 2026-11-22 or 2026-11-22T05"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(tmp_path, content, extra, code, message):
    run = start(*job(tmp_path, content), *extra, cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert "\tat " not in run.stderr  # a line of a Java trace
    assert run.stdout == ""
    assert not (tmp_path / "out" / "tag_counts").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pyarrow", "raise ModuleNotFoundError(\"No module named 'pyarrow'\", name='pyarrow')", "is missing on a worker; "),
        ("isal", "__version__ = '1.5.3'", "1.5.3 is too old on a worker ({python}); "),
    ],
)
def test_a_package_that_a_worker_lacks_is_one_message(tmp_path, name, content, message):
    write(tmp_path / "hide" / name / "__init__.py", content.encode())
    worker = write(
        tmp_path / "python", f'#!/bin/sh\nPYTHONPATH={tmp_path}/hide:$PYTHONPATH exec {sys.executable} "$@"\n'.encode()
    )
    worker.chmod(0o755)
    run = start(*job(tmp_path, log(flow())), PYSPARK_PYTHON=str(worker), PYSPARK_DRIVER_PYTHON=sys.executable)
    assert run.returncode == 1
    assert f"error: {name} {message.format(python=sys.executable)}install '{name}>=1" in run.stderr
    assert "into the Python that PYSPARK_PYTHON names there" in run.stderr
    assert "Traceback" not in run.stderr
    assert "\tat " not in run.stderr


@pytest.mark.newest
def test_settings_come_from_a_file_and_flags_win(tmp_path):
    arguments = job(tmp_path, log(flow(), "x", header=None))
    write(tmp_path / "run.toml", b'output_format = "parquet"\nmax_reject_ratio = 0.5\nlog_level = "error"\n')
    run = start(*arguments, "--config", tmp_path / "run.toml", "--output-format", "csv")
    assert run.returncode == 0, run.stderr
    settings = json.loads(run.stdout.splitlines()[-1])["settings"]
    assert (settings["output_format"], settings["max_reject_ratio"], settings["log_level"]) == ("csv", "0.5", "ERROR")


@pytest.mark.newest
def test_version_and_help_need_no_spark(tmp_path):
    for flag, text in (("--version", "flowspark 0."), ("--help", "--max-reject-ratio")):
        run = start(flag, cwd=tmp_path)
        assert run.returncode == 0
        assert text in run.stdout


@pytest.mark.newest
@pytest.mark.parametrize("reason", ["no archive at all", "for another Java", "folder of configuration"])
def test_an_archive_of_javas_classes_that_does_not_fit_is_passed_over_in_silence(tmp_path, reason):
    """The summary is the last line of stdout, whatever Java thinks of the archive."""
    environment = {"FLOWSPARK_CLASS_ARCHIVE": str(write(tmp_path / "broken.jsa", b"no archive"))}
    if reason == "for another Java":
        header = bytes.fromhex("f00baba8") + bytes(5000)  # the magic number of an archive, and nothing of this Java
        environment["FLOWSPARK_CLASS_ARCHIVE"] = str(write(tmp_path / "other.jsa", header))
    elif reason == "folder of configuration":  # it is on Java's class path; an archive allows no folder with files there
        environment = {"SPARK_CONF_DIR": str(write(tmp_path / "conf" / "spark-defaults.conf", b"").parent)}
    run = start(*job(tmp_path, log(flow(443))), **environment)
    assert run.returncode == 0, run.stderr
    first, *_, last = run.stdout.splitlines()
    assert first.split() == ["tag", "flows", "share"]
    assert json.loads(last)["tagged"] == 1


@pytest.mark.newest
def test_texts_from_outside_cannot_steer_the_terminal(tmp_path):
    name, tag = "a\x1b[2J\r\u202e.log", "we\x1b[31mb\u009b"
    arguments = job(tmp_path)
    write(tmp_path / "logs" / name, log(flow(443), "bad\x1b[31m"))
    write(tmp_path / "lookup.csv", f"dstport,protocol,tag\n443,tcp,{tag}\n".encode())
    run = start(*arguments, "--max-reject-ratio", "1")
    assert run.returncode == 0, run.stderr
    *_, last = run.stdout.splitlines()
    assert r"we\x1b[31mb\x9b      1  100.00 %" in run.stdout
    failed = start(*arguments, cwd=tmp_path)
    assert failed.returncode == 4
    assert r"a\x1b[2J\r\u202e.log" in failed.stderr
    for text in (run.stdout, run.stderr, failed.stderr):
        assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert json.loads(last) == published_summary(tmp_path / "out")
    assert read_csv(tmp_path / "out", "tag_counts")[1] == (tag, "1")  # what is published is as it was

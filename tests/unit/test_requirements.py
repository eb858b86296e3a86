"""What a driver or a worker lacks is one message, with what to do on the platform at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flowspark import requirements
from tests.logs import write

ROOT = Path(__file__).parent.parent.parent

RUN = """
from flowspark import requirements
try:
    {}
except Exception as error:
    print(error)
"""


def said(folder: Path, code: str, **environment: str) -> str:
    """What a Python says that has no packages but those in a folder."""
    clean = {name: value for name, value in os.environ.items() if name != "PYSPARK_GATEWAY_PORT"}
    path = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, "-S", "-c", RUN.format(code)]
    run = subprocess.run(
        command, env=clean | {"PYTHONPATH": path} | environment, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    return run.stdout.rstrip("\n")


def package(folder: Path, name: str, version: str) -> None:
    """A package that is installed, as far as a look at it goes."""
    write(folder / name / "__init__.py", f"__version__ = '{version}'".encode())
    write(folder / f"{name}-{version}.dist-info" / "METADATA", f"Name: {name}\nVersion: {version}\n".encode())


def test_pip_is_told_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [name + versions for name, versions in requirements.PACKAGES.items()] == project["dependencies"]


@pytest.mark.parametrize("use", ["requirements.check_driver()", "from flowspark import read_flow_logs"])
def test_all_that_the_driver_lacks_is_one_message(tmp_path, use):
    package(tmp_path, "isal", "1.5.3")
    package(tmp_path, "numpy", "1.23.0")
    write(tmp_path / "pyarrow" / "__init__.py", b"")  # a copy without pip's notes: nothing tells its version
    fault = "isal 1.5.3 is too old and pandas is missing on the driver; "
    command = f"run {sys.executable} -m pip install 'isal>=1.6' 'pandas>=1.5.3,<3'"
    assert said(tmp_path, use) == fault + command
    shipped = f"{command}, or in YARN's cluster mode ship the archive of `scripts/package environment` with --archives"
    assert said(tmp_path, use, PYSPARK_GATEWAY_PORT="1") == fault + shipped
    libraries = (
        "add 'isal>=1.6' 'pandas>=1.5.3,<3' to the libraries of the job's cluster, or on serverless to those of its "
    )
    assert said(tmp_path, use, DATABRICKS_RUNTIME_VERSION="17.3") == f"{fault}{libraries}environment"


def test_all_that_a_worker_lacks_is_one_message(tmp_path):
    package(tmp_path, "pyarrow", "9.0.0")
    write(tmp_path / "numpy" / "__init__.py", b"raise ImportError('built for another Python')")
    fault = "isal is missing and numpy cannot be imported (built for another Python) and pyarrow 9.0.0 is too old"
    use = "requirements.check_worker(requirements.flowspark.__version__, 'mend it')"
    assert said(tmp_path, use) == f"{fault} on a worker ({sys.executable}); mend it"


def test_a_worker_with_another_flowspark_is_told(tmp_path):
    here = f"on a worker ({sys.executable})"
    found = said(tmp_path, "requirements.check_worker('9.9', 'mend it')")
    assert found.startswith(
        f"flowspark is {requirements.flowspark.__version__} {here} and 9.9 on the driver; ship the driver's"
    )


def test_a_worker_that_has_everything_passes():
    requirements.check_worker(requirements.flowspark.__version__, "")


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("HOME", "install 'isal>=1.6' into the Python that PYSPARK_PYTHON names there, or ship the archive of "),
        ("SPARK_REMOTE", "install 'isal>=1.6' into the Python of the Spark Connect server's workers, or give the server "),
        ("DATABRICKS_RUNTIME_VERSION", "add 'isal>=1.6' to the libraries of the job's cluster, or on serverless to those "),
    ],
)
def test_the_remedy_for_a_worker_is_the_platforms(monkeypatch, variable, words):
    for name in ("SPARK_REMOTE", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "x")
    assert requirements.worker_remedy(["isal"]).startswith(words)


def test_a_python_that_is_too_old_is_one_message_of_the_job():
    code = "import runpy, sys; sys.version_info = (3, 9, 18); sys.path.insert(0, '.'); runpy.run_path('jobs/tag_flows.py')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("error: flowspark needs Python 3.11 or later, and this is ")

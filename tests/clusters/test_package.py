"""The packages that scripts/package builds: each is installed, or run from, as a cluster would."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pyspark
import pytest

import flowspark
from tests.clusters.conftest import ROOT, SAMPLE, packaged, submit

ELF = {"x86_64": 0x3E, "aarch64": 0xB7}  # the architecture in the header of a program or library


def call(*command: object, **options: object) -> str:
    """What a command prints; it has to succeed."""
    run = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_wheel_and_the_zip_of_one_commit_have_the_same_bytes(tmp_path):
    """Built in two clones with other names, by people whose files get other permissions and whose clocks differ."""
    built = []
    for name, mask, zone in (("one", 0o022, "UTC"), ("another", 0o077, "Asia/Tokyo")):
        call("git", "clone", "-q", ROOT, tmp_path / name, umask=mask)
        script = tmp_path / name / "scripts" / "package"
        said = call("env", f"TZ={zone}", script, "wheel", "zip", "--to", tmp_path / name / "dist", umask=mask).splitlines()
        built.append([Path(said[n]).read_bytes() for n in (1, 3)])
    assert built[0] == built[1]


def test_the_zip_is_the_package_with_its_data(package):
    tracked = call("git", "ls-files", "flowspark", cwd=ROOT).splitlines()
    objects = [f"flowspark/decode/kernel-linux-{machine}.so" for machine in ("aarch64", "x86_64-v2", "x86_64-v3")]
    assert zipfile.ZipFile(package).namelist() == sorted([*tracked, *objects], key=Path)
    assert {"flowspark/data/fields.csv", "flowspark/data/protocols.csv", "flowspark/py.typed"} < set(tracked)
    code = "import flowspark.fields as f; print(f.__file__, f.FIELDS['dstport'].name)"
    shown = call(sys.executable, "-S", "-c", code, env={"PYTHONPATH": str(package)}, cwd=package.parent)
    assert shown == f"{package}/flowspark/fields.py dstport\n"


def test_the_wheel_works_in_an_environment_without_pyspark(tmp_path):
    wheel, home = packaged(tmp_path, "wheel"), tmp_path / "home"
    call(sys.executable, "-m", "venv", "--without-pip", home)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--python",
        home,
        "install",
        "--no-compile",
    ]
    call(*pip, "--no-deps", "--require-hashes", "-r", ROOT / "scripts" / "locks" / "environment.txt", cwd=tmp_path)
    call(*pip, "--no-index", wheel, cwd=tmp_path)  # all that it depends on is there
    clean = {"PATH": "/usr/bin:/bin"}
    for command in ([home / "bin" / "flowspark"], [home / "bin" / "python", "-m", "flowspark"]):
        assert call(*command, "--version", env=clean, cwd=tmp_path) == f"flowspark {flowspark.__version__}\n"
    assert "--max-reject-ratio" in call(home / "bin" / "flowspark", "--help", env=clean, cwd=tmp_path)
    command = [home / "bin" / "flowspark", "--input", "a", "--lookup", "b", "--output", "c"]
    run = subprocess.run(command, env=clean, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("error: pyspark is missing; pip install ")


def test_the_environment_is_all_that_a_driver_and_its_workers_need(environment_archive, job, tmp_path):
    """Unpacked somewhere, it runs the job alone; of this machine's Python, only Spark's own files are used."""
    home = tmp_path / "environment"
    call("mkdir", home)
    call("tar", "-xf", environment_archive, "-C", home)
    python = str(home / "bin" / "python")
    flags = ["--input", SAMPLE / "logs", "--lookup", SAMPLE / "lookup.csv", "--output", tmp_path / "out"]
    command = ["spark-submit", "--master", "local[2]", "--conf", "spark.ui.enabled=false", str(job), *map(str, flags)]
    spark = str(Path(pyspark.__file__).parent)
    run = submit(command, SPARK_HOME=spark, PYSPARK_PYTHON=python, PYSPARK_DRIVER_PYTHON=python)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["books"]["files"] == 6
    code = (
        "import flowspark, importlib.util, sys; print(flowspark.__file__, sys.prefix, importlib.util.find_spec('pyspark'))"
    )
    where = call(python, "-c", code, env={}, cwd=tmp_path).split()
    assert where == [f"{home}/lib/python3.11/site-packages/flowspark/__init__.py", str(home), "None"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it is this machine's own archive there")
def test_an_environment_for_another_architecture_has_only_its_libraries(tmp_path):
    archive = packaged(tmp_path, "environment", "--arch", "aarch64", "--python", "3.11")
    machines, names = set(), set()
    with tarfile.open(archive) as content:
        for entry in content:
            if entry.isfile() and (head := content.extractfile(entry).read(20))[:4] == b"\x7fELF":
                machines.add(int.from_bytes(head[18:20], "little"))
                names.add(Path(entry.name).name.split(".")[0])
            assert not entry.name.startswith("/")
            assert ".." not in entry.name.split("/")
    assert machines == {ELF["aarch64"]}
    assert {"python3", "libpython3", "libarrow", "_multiarray_umath", "igzip_lib", "hashing"} <= names

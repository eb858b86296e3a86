"""What flowspark needs of the driver's Python and of the workers', and what to do where a package is missing or too old."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import flowspark
from flowspark.errors import FlowsparkError, one_line

PACKAGES = {"isal": ">=1.6", "numpy": ">=1.23", "pandas": ">=1.5.3,<3", "pyarrow": ">=14.0.1"}
"""Each package with its versions, as pip reads them; pyproject.toml has the same. Only the oldest version is checked."""

SAME_PYTHON = (
    "both have to be of the same minor version: set PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON to such, or ship the archive "
    "of `scripts/package environment` with --archives"
)
"""What to do where Spark says that the driver and a worker run different versions of Python."""

_ON_WORKERS = ("isal", "numpy", "pyarrow")  # pandas is what Spark itself asks for, on the driver


class UnfitWorker(RuntimeError):
    """A worker's Python lacks something. The driver sees only the text of this error."""


@cache
def check_driver() -> None:
    """Checks, before any log is read, that the driver's Python has the packages that a run needs, new enough.

    Raises:
        FlowsparkError: packages are missing or too old.
    """
    faults = {name: fault for name in PACKAGES if (fault := _driver_fault(name))}
    if faults:
        raise FlowsparkError(f"{' and '.join(faults.values())} on the driver; {_driver_remedy(faults)}")


@cache
def check_worker(version: str, advice: str) -> None:
    """Checks in a task, before a log is opened, that the worker's Python has what the task needs; once in each process.

    Args:
        version: the version of flowspark on the driver.
        advice: what a person can do about it, as `worker_remedy` says it.

    Raises:
        UnfitWorker: packages are missing or too old, or flowspark is not the driver's.
    """
    where = f"on a worker ({sys.executable})"
    if flowspark.__version__ != version:
        raise UnfitWorker(
            f"flowspark is {flowspark.__version__} {where} and {version} on the driver; ship the driver's, or install it "
            f"in place of {flowspark.__path__[0]}"
        )
    faults = [fault for name in _ON_WORKERS if (fault := _worker_fault(name))]
    if faults:
        raise UnfitWorker(f"{' and '.join(faults)} {where}; {advice}")


def worker_remedy(names: Iterable[str] = _ON_WORKERS) -> str:
    """What a person can do when workers lack packages, on the platform that the driver runs on."""
    wanted = _quoted(names)
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return f"add {wanted} to the libraries of the job's cluster, or on serverless to those of its environment"
    if "SPARK_REMOTE" in os.environ:
        return (
            f"install {wanted} into the Python of the Spark Connect server's workers, or give the server the archive of "
            "`scripts/package environment` with addArtifacts (README, 'Package it')"
        )
    return (
        f"install {wanted} into the Python that PYSPARK_PYTHON names there, or ship the archive of "
        "`scripts/package environment` with --archives"
    )


def missing_on_worker(name: str) -> str:
    """What to tell a person whose workers lack a Python package.

    >>> missing_on_worker("flowspark").split(";")[0]
    'flowspark is missing on a worker'
    """
    if name != "flowspark":
        return f"{name} is missing on a worker; {worker_remedy([name])}"
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        remedy = "add its wheel to the libraries of the job's cluster, or on serverless to those of its environment"
    else:
        remedy = (
            "ship the zip of `scripts/package zip` with --py-files (a wheel there would reach only the driver). On Spark "
            "Connect, whose server has taken no package from its client, install the wheel into the Python of its workers"
        )
    return f"flowspark is missing on a worker; {remedy}"


def _driver_remedy(names: Iterable[str]) -> str:
    wanted = _quoted(names)
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return f"add {wanted} to the libraries of the job's cluster, or on serverless to those of its environment"
    command = f"run {sys.executable} -m pip install {wanted}"
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return command
    return f"{command}, or in YARN's cluster mode ship the archive of `scripts/package environment` with --archives"


def _quoted(names: Iterable[str]) -> str:
    """Packages with their versions, quoted for a shell.

    >>> _quoted(["isal", "pandas"])
    "'isal>=1.6' 'pandas>=1.5.3,<3'"
    """
    return " ".join(f"'{name}{PACKAGES.get(name, '')}'" for name in names)


def _driver_fault(name: str) -> str | None:
    """What is wrong with a package on the driver, which is not imported for that: Java starts meanwhile."""
    from importlib.metadata import PackageNotFoundError, version

    if find_spec(name) is None:
        return f"{name} is missing"
    try:
        return _too_old(name, version(name))
    except PackageNotFoundError:  # a copy without pip's notes
        return None


def _worker_fault(name: str) -> str | None:
    """What is wrong with a package on a worker, where the task imports it anyway."""
    try:
        return _too_old(name, import_module(name).__version__)
    except ModuleNotFoundError as error:
        return f"{error.name} is missing"
    except ImportError as error:  # built for another Python, or for newer libraries of the system
        return f"{name} cannot be imported ({one_line(error)})"


def _too_old(name: str, version: str) -> str | None:
    """What is wrong with a package's version, if anything.

    >>> _too_old("pyarrow", "14.0.1"), _too_old("pyarrow", "26.0.1.dev3")
    (None, None)
    >>> _too_old("pyarrow", "9.0.0")
    'pyarrow 9.0.0 is too old'
    """
    oldest = PACKAGES[name].split(",")[0].removeprefix(">=")
    return f"{name} {version} is too old" if _numbers(version) < _numbers(oldest) else None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()

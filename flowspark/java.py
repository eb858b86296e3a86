"""The options with which flowspark starts Java, where the person who runs it has set none.

`python jobs/tag_flows.py` starts Java itself, through Spark's own launcher. Java's options cannot be changed once it runs,
but only a running Java can tell what Spark's configuration files hold. So flowspark first searches, as text, the few places
where a person may have set something: `spark-defaults.conf`, `PYSPARK_SUBMIT_ARGS`, and the properties files that it names.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

# a short run ends before the JVM's second compiler and its parallel collector pay for themselves
_SHORT_RUN = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

# Java and Spark's launcher read options from these too; with two garbage collectors, theirs and ours, Java would not start
_JAVA_VARIABLES = ("SPARK_SUBMIT_OPTS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")
_JAVA_SETTINGS = re.compile(r"spark\.driver\.(?:extra|default)JavaOptions|--driver-java-options")
_MASTER = re.compile(r"(?:spark\.master|--master)[\s=:]+(\S+)")
_PROGRESS = "spark.ui.showConsoleProgress"


def is_local(master: str) -> bool:
    """Whether a Spark master runs everything in the driver's own process.

    >>> is_local("local[*]"), is_local("local-cluster[1,1,1024]"), is_local("yarn")
    (True, False, False)
    """
    return master == "local" or master.startswith("local[")


def launches_local(environment: Mapping[str, str]) -> bool:
    """Whether Java will be started for a local run, which is so if no other master is set.

    Args:
        environment: the environment variables of the process.
    """
    return all(map(is_local, _MASTER.findall(_written_settings(environment))))


def launch_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The Spark settings with which Java is started for a local run, without those that a person has set."""
    written = _written_settings(environment)
    settings = {}
    if _PROGRESS not in written:
        settings[_PROGRESS] = "false"  # the launcher would turn it on, and the job shows its own progress
    if not _JAVA_SETTINGS.search(written) and not any(environment.get(name) for name in _JAVA_VARIABLES):
        settings["spark.driver.extraJavaOptions"] = f"{_SHORT_RUN}{_archive_options(environment)}"
    return settings


def conf_dir(environment: Mapping[str, str]) -> Path:
    """The folder in which Spark looks for spark-defaults.conf and log4j2.properties."""
    home = environment.get("SPARK_HOME") or Path(find_spec("pyspark").origin).parent  # type: ignore[union-attr, arg-type]
    return Path(environment.get("SPARK_CONF_DIR") or Path(home, "conf"))


def _written_settings(environment: Mapping[str, str]) -> str:
    """The text, without comments, of all places from which Spark takes settings when it starts Java."""
    arguments = shlex.split(environment.get("PYSPARK_SUBMIT_ARGS", "").replace("--properties-file=", "--properties-file "))
    named = [Path(value) for flag, value in pairwise(arguments) if flag == "--properties-file"]
    files = [path for path in (conf_dir(environment) / "spark-defaults.conf", *named) if path.is_file()]
    lines = [line for path in files for line in path.read_text(errors="replace").splitlines()]
    kept = [line for line in lines if not line.lstrip().startswith("#")]
    return "\n".join([*kept, *arguments, "--master", environment.get("MASTER") or "local"])


def _archive_options(environment: Mapping[str, str]) -> str:
    """Options with which Java starts from an archive of its loaded classes (class data sharing); empty without an archive.

    Half of the time that Spark takes to start goes into loading and checking some 15,000 classes. `scripts/env` writes them
    to a file, which Java maps into memory. Java ignores a file that does not fit its version or class path.
    """
    place = environment.get("FLOWSPARK_CLASS_ARCHIVE", f"{sys.prefix}/flowspark-classes.jsa")
    if place in ("", "off") or not Path(place).is_file():
        return ""
    # without the last option Java would report an archive that does not fit on stdout, where the results go
    return f' "-XX:SharedArchiveFile={Path(place).absolute()}" -Xshare:auto -Xlog:disable'

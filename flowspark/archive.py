"""An archive of Java's loaded classes, made by the first local run and mapped into memory by those that follow.

Half of the time that Spark takes to start goes into loading and checking some 15,000 classes, the same ones each time.
Java (13 and later) can write them to a file when it ends (class data sharing), and start from that file in half the time.
A file that no longer fits is passed over by Java, and never an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

_OLDEST_JAVA = 13
_KEPT = 4  # archives of so many different Javas and Sparks; one has 200 MB
_PATIENCE = 120.0  # seconds for Java to write one


class ClassArchive:
    """The archive for one Java and one Spark; where there can be none, it does nothing.

    Args:
        spark_home: the folder with Spark's jars.
    """

    def __init__(self, spark_home: Path) -> None:
        self._path = _place(spark_home)
        self._part = self._path and self._path.with_suffix(f".{os.getpid()}")  # two runs may start at once

    @property
    def options(self) -> str:
        """What Java is to be started with: to use the archive, or to write it."""
        if self._path is None:
            return ""
        archive = f"SharedArchiveFile={self._path}" if self._path.exists() else f"ArchiveClassesAtExit={self._part}"
        # an archive that does not fit is told on stdout otherwise, where the results go
        return f'"-XX:{archive}" -Xshare:auto -Xlog:disable'

    def keep(self, java: subprocess.Popen[bytes]) -> None:
        """Has Java end, and write the archive, where there is none yet.

        Args:
            java: the process, which ends when its standard input does.
        """
        if self._path is None or self._part is None or self._path.exists():
            return
        log.info("the first run writes an archive of Java's classes, some seconds of work: later runs start faster")
        try:
            if java.stdin:
                java.stdin.close()
            java.wait(_PATIENCE)
            self._part.replace(self._path)
            for old in sorted(self._path.parent.glob("classes-*.jsa"), key=lambda path: -path.stat().st_mtime)[_KEPT:]:
                old.unlink(missing_ok=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._part.unlink(missing_ok=True)
            log.info("no archive was written: %s", error)


def _place(spark_home: Path) -> Path | None:
    """Where the archive lies, another one for every Java and every set of jars; none where jars were added."""
    java = shutil.which("java", path=f"{home}/bin" if (home := os.environ.get("JAVA_HOME")) else None)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "flowspark"
    try:
        if "PYSPARK_SUBMIT_ARGS" in os.environ or java is None or _version(java := os.path.realpath(java)) < _OLDEST_JAVA:
            return None
        files = [java, *sorted(map(str, (spark_home / "jars").iterdir()))]
        facts = [(name, os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in files]  # noqa: PTH116  # 300 of them
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    name = f"classes-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.jsa"
    return cache / name if os.access(cache, os.W_OK) else None


def _version(java: str) -> int:
    """The feature release of a Java, as the file beside it tells."""
    release = (Path(java).parent.parent / "release").read_text()
    found = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else 0

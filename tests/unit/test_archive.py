"""The archive of Java's classes: used where it fits, written where it can be, and never in anybody's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowspark.archive import ClassArchive
from tests.logs import write


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A Java 17, a Spark with one jar, and an empty cache."""
    java = write(tmp_path / "java" / "bin" / "java", b"")
    java.chmod(0o755)
    write(tmp_path / "java" / "release", b'IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n')
    write(tmp_path / "spark" / "jars" / "spark.jar", b"one")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    return tmp_path


def java_that_writes(path: str) -> subprocess.Popen[bytes]:
    """What Java does: it waits for the end of its input, and then writes."""
    code = f"import sys; sys.stdin.read(); open({path!r}, 'w').write('classes')"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


def written(archive: ClassArchive) -> str:
    """The file that Java is told to write."""
    assert "-XX:ArchiveClassesAtExit=" in archive.options
    return archive.options.split("=", 1)[1].split('"')[0]


def test_the_first_run_writes_it_and_the_next_uses_it(home):
    first = ClassArchive(home / "spark")
    with java_that_writes(written(first)) as java:
        first.keep(java)
    (archive,) = (home / "cache" / "flowspark").iterdir()
    assert archive.read_text() == "classes"
    second = ClassArchive(home / "spark")
    assert f"-XX:SharedArchiveFile={archive}" in second.options
    with java_that_writes(str(home / "never")) as java:
        second.keep(java)
        assert java.poll() is None  # it ends when it is told to, and nobody waits


def test_another_spark_and_another_java_have_another_one(home):
    names = {written(ClassArchive(home / "spark"))}
    write(home / "spark" / "jars" / "spark.jar", b"other")
    names.add(written(ClassArchive(home / "spark")))
    os.utime(home / "java" / "bin" / "java", (1, 1))
    names.add(written(ClassArchive(home / "spark")))
    assert len(names) == 3


def test_a_java_that_writes_none_leaves_nothing_behind(home):
    archive = ClassArchive(home / "spark")
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as java:
        archive.keep(java)
    assert list((home / "cache" / "flowspark").iterdir()) == []


def test_the_newest_few_are_kept(home):
    for number in range(6):
        os.utime(write(home / "cache" / "flowspark" / f"classes-{number}.jsa", b""), (number, number))
    archive = ClassArchive(home / "spark")
    with java_that_writes(written(archive)) as java:
        archive.keep(java)
    names = {path.name for path in (home / "cache" / "flowspark").iterdir()}
    assert len(names) == 4
    assert names > {"classes-3.jsa", "classes-4.jsa", "classes-5.jsa"}


@pytest.mark.parametrize("reason", ["no Java", "old Java", "odd Java", "no cache", "own jars"])
def test_where_there_can_be_none_java_starts_as_ever(home, monkeypatch, reason):
    if reason == "no Java":
        monkeypatch.setenv("JAVA_HOME", str(home / "nothing"))
    elif reason == "old Java":
        write(home / "java" / "release", b'JAVA_VERSION="1.8.0_402"\n')
    elif reason == "odd Java":
        (home / "java" / "release").unlink()
    elif reason == "own jars":
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--jars s3.jar pyspark-shell")
    else:
        write(home / "cache", b"a file")
    archive = ClassArchive(home / "spark")
    assert archive.options == ""
    with java_that_writes(str(home / "never")) as java:
        archive.keep(java)
        assert java.poll() is None

"""Spark Connect: a session whose Spark is a server elsewhere, which has settings, files and Python packages of its own."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from weakref import WeakSet

from pyspark.errors import PySparkException, PySparkValueError
from pyspark.sql import SparkSession

from flowspark.errors import FlowsparkError, UsageError, cause

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds that a server may take for its first answer
_shipped: WeakSet[SparkSession] = WeakSet()


def is_connect(spark: SparkSession) -> bool:
    """Whether a session is one of Spark Connect. On pyspark 3.5, its class does not derive from the classic one."""
    return any(kind.__module__.startswith("pyspark.sql.connect.") for kind in type(spark).__mro__)


def wants_connect(environment: Mapping[str, str]) -> bool:
    """Whether a new session will be one of Spark Connect.

    Args:
        environment: the environment variables of the process.
    """
    return bool(
        environment.get("SPARK_REMOTE")
        or environment.get("SPARK_CONNECT_MODE_ENABLED")
        or environment.get("SPARK_API_MODE", "").lower() == "connect"
        or find_spec("py4j") is None  # the client of Spark Connect comes without it
    )


def connect() -> SparkSession:
    """Returns a session on the server of SPARK_REMOTE, once that server has answered.

    Raises:
        FlowsparkError: the server does not answer, or refuses.
        UsageError: SPARK_REMOTE is not the address of a server, or is missing.
    """
    remote = os.environ.get("SPARK_REMOTE")
    if not remote and find_spec("py4j") is None:
        raise UsageError(
            "this Python has only Spark Connect's client, and needs a server: set SPARK_REMOTE=sc://HOST:PORT, "
            "or install pyspark itself"
        )
    try:
        if not remote or not remote.startswith("sc://"):
            return SparkSession.builder.getOrCreate()  # pyspark starts a server of its own, and waits for it
        return _session_that_answers(remote.split(";")[0].rstrip("/"))  # what follows may be a token
    except (PySparkValueError, ValueError):
        # pyspark's own message is left out, because it quotes the address, and so the token
        raise UsageError(
            "SPARK_REMOTE is not the address of a Spark Connect server; write sc://HOST:PORT, and options after '/;', as "
            "in sc://HOST:PORT/;token=TOKEN;use_ssl=true ('=' in a value is written %3D)"
        ) from None


def _session_that_answers(address: str) -> SparkSession:
    """Returns a session whose server has told its version. pyspark itself would try for ten minutes, and say nothing.

    Raises:
        FlowsparkError: the server does not answer, or refuses.
        ValueError: pyspark does not understand SPARK_REMOTE.
    """
    answers: SimpleQueue[SparkSession | Exception] = SimpleQueue()
    clients: list[Any] = []

    def ask() -> None:
        try:
            spark = SparkSession.builder.getOrCreate()  # on pyspark 3.5, this asks the server already
            client: Any = spark.client
            clients.append(client)
            policies = client.get_retry_policies() if hasattr(client, "get_retry_policies") else None
            if policies:
                client.set_retry_policies([])
            _ = spark.version
            if policies:
                client.set_retry_policies(policies)
            answers.put(spark)
        except Exception as error:
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_PATIENCE)
    except Empty:
        answer = TimeoutError(f"no answer within {_PATIENCE:.0f} s")
    if not isinstance(answer, Exception):
        return answer
    if not clients and isinstance(answer, (PySparkValueError, ValueError)):
        raise answer
    for client in clients:
        client.close()  # otherwise gRPC goes on trying, and pyspark asks the server once more when Python ends
    raise FlowsparkError(
        f"Spark Connect: {address} cannot be used: {cause(answer)}; check that a Spark Connect server runs there, and "
        "the host, port, token and use_ssl in SPARK_REMOTE"
    ) from answer


@contextmanager
def temporary_setting(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    """Changes a setting of the session for the block. If the platform lets nobody change it, the block runs without."""
    try:
        before = spark.conf.get(name)
        spark.conf.set(name, value)
    except PySparkException as error:  # such as on Databricks' serverless compute, which has a short list of settings
        log.debug("%s stays as it is: %s", name, cause(error))
        yield
        return
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error tells more
            spark.conf.set(name, str(before))
        raise
    spark.conf.set(name, str(before))


def disconnect(spark: SparkSession) -> None:
    """Stops a session. If its server is gone, this does not wait for it to come back."""
    client: Any = spark.client
    if hasattr(client, "set_retry_policies"):
        client.set_retry_policies([])
    spark.stop()


def ship_package(spark: SparkSession) -> None:
    """Gives this package to the server of a Connect session, once for each session, so that tasks can import it.

    It does nothing on a classic session. If the server takes no files, the package has to be installed there; where it is
    missing, the tasks say so.
    """
    if not is_connect(spark) or spark in _shipped:
        return
    from grpc import RpcError

    content = package_zip()
    with TemporaryDirectory() as folder:
        # a session takes a name only once, so other content needs another name
        path = Path(folder, f"flowspark-{hashlib.sha256(content).hexdigest()[:12]}.zip")
        path.write_bytes(content)
        try:
            spark.addArtifacts(str(path), pyfile=True)
            _shipped.add(spark)
        except (PySparkException, RpcError) as error:
            log.info("the Spark Connect server takes no packages; flowspark has to be installed there: %s", cause(error))
        finally:
            sys.path[:] = [place for place in sys.path if place != str(path)]  # pyspark has added it


def package_zip() -> bytes:
    """This package as a zip: the same bytes for the same files, whether it lies in a clone, in a zip, or is installed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(_contents(files("flowspark"), "flowspark")):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _contents(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_file() and not entry.name.endswith(".pyc"):
            yield f"{name}/{entry.name}", entry.read_bytes()
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _contents(entry, f"{name}/{entry.name}")

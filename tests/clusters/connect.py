"""A Spark Connect server of this machine, and a relay before it that refuses what serverless compute of Databricks does."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pyspark
from pyspark.sql.connect import proto

from flowspark.session import s3_confs
from tests.clusters.processes import PATIENCE, process
from tests.s3_server import s3_jars, s3_properties

TOKEN = "a-token"
_SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
_STREAMED = ("ExecutePlan", "ReattachExecute")  # the answer is a stream
_UPLOADED = ("AddArtifacts",)  # the request is one

# some of the few settings that a session on Databricks' serverless compute may change
CHANGEABLE = {
    "spark.databricks.execution.timeout",
    "spark.sql.ansi.enabled",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}


@contextmanager
def connect_server(folder: Path) -> Iterator[int]:
    """A server that wants a token and reaches S3. Its Python workers have no flowspark, no credentials, and no S3 server.

    Yields:
        The port on the loopback interface.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nunset PYTHONPATH AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\nexec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    confs = s3_properties() | s3_confs(os.environ) | {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.connect.authenticate.token": TOKEN,
        "spark.driver.extraClassPath": s3_jars().replace(",", ":"),
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }  # fmt: skip
    command: list[str | Path] = [_SUBMIT, "--master", "local[2]", "--driver-memory", "1g"]
    for name, value in confs.items():
        command += ["--conf", f"{name}={value}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with process(folder / "server.log", command, {"PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"}):
        yield int(_said(folder / "server.log", r"Spark Connect server started at: \S+:(\d+)"))


def _said(log: Path, pattern: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.1)
    raise TimeoutError(log.read_text(errors="replace"))


@dataclass
class Relay(grpc.GenericRpcHandler):
    """Hands all requests on to a server, but for those that it refuses.

    Attributes:
        server: the channel to the server.
        takes_files: whether a session may send files.
        calls: the names of all requests.
        refused: the settings that were to be changed, and were not.
    """

    server: grpc.Channel
    takes_files: bool = True
    calls: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        name = call.method.rpartition("/")[2]
        self.calls.append(name)
        metadata = [item for item in call.invocation_metadata if item.key in ("authorization", "x-databricks-session-id")]

        def forward(request: Any, context: grpc.ServicerContext) -> Any:
            if name == "Config":
                self._check(proto.ConfigRequest.FromString(request).operation, context)
            if name == "AddArtifacts" and not self.takes_files:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server takes no files")
            kind = "stream" if name in _UPLOADED else "unary", "stream" if name in _STREAMED else "unary"
            try:
                answer = getattr(self.server, "_".join(kind))(call.method)(request, metadata=metadata)
                return self._answers(answer, context) if name in _STREAMED else answer
            except grpc.RpcError as error:
                context.set_trailing_metadata(error.trailing_metadata() or ())
                context.abort(error.code(), error.details())

        make = {True: grpc.unary_stream_rpc_method_handler, False: grpc.unary_unary_rpc_method_handler}[name in _STREAMED]
        return (grpc.stream_unary_rpc_method_handler if name in _UPLOADED else make)(forward)

    def _answers(self, answers: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from answers
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())

    def _check(self, operation: Any, context: grpc.ServicerContext) -> None:
        changed = [pair.key for pair in operation.set.pairs] + list(operation.unset.keys)
        names = [name for name in changed if name not in CHANGEABLE]
        if names:
            self.refused += names
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"[CONFIG_NOT_AVAILABLE] Configuration {names[0]} is not available."
            )


@contextmanager
def relay(port: int) -> Iterator[tuple[Relay, int]]:
    """A relay before the server at a port: it and its own port."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool)
        handler = Relay(channel)
        server.add_generic_rpc_handlers((handler,))
        own = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield handler, own
        finally:
            server.stop(None).wait()

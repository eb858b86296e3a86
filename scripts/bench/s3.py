"""An S3 server over the made-up logs, on loopback: each folder of logs is a bucket, and nothing is copied.

The server is a program of its own, started beside the measured commands, so that its CPU seconds are not theirs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ACCESS, _SECRET, _REGION = "flowspark-bench", "flowspark-secret", "us-east-1"
_PATIENCE = 10.0  # seconds for the server to start


@contextmanager
def serve(program: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Yields the environment in which AWS's tools, flowspark and the engines find the server and its credentials.

    Args:
        program: versitygw, as scripts/versitygw builds it.
        folder: each folder in it is a bucket, also one that is made later.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    # without keep-alive each request would need a new connection; a folder that the server has not written has no ETags
    options = ["--region", _REGION, "--port", address, "--keep-alive", "--readonly", "--quiet"]
    command = [str(program), *options, "posix", "--nometa", "--default-etag", "flowspark", str(folder)]
    keys = {"ROOT_ACCESS_KEY_ID": _ACCESS, "ROOT_SECRET_ACCESS_KEY": _SECRET}
    with subprocess.Popen(command, env=os.environ | keys, stdout=subprocess.DEVNULL) as server:
        try:
            _wait(server, address)
            yield {
                "AWS_ACCESS_KEY_ID": _ACCESS,
                "AWS_SECRET_ACCESS_KEY": _SECRET,
                "AWS_REGION": _REGION,
                "AWS_ENDPOINT_URL": f"http://{address}",
            }
        finally:
            server.kill()


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the S3 server does not answer: {server.args}") from None
            time.sleep(0.05)

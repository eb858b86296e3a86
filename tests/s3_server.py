"""An S3 server for tests: moto's, as a process of its own on the loopback interface, and buckets on it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
S3_CONF = ROOT / "conf" / "spark-s3.conf"

# moto does not check them; what matters is that they are found where AWS's tools look for them
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "flowspark-test",
    "AWS_SECRET_ACCESS_KEY": "flowspark-secret",
    "AWS_REGION": "us-east-1",
}

_MOTO = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel("ERROR")  # else a line for each request
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # ends with the process that has started it, however that ends
"""
_numbers = itertools.count(1)


def s3_jars() -> str:
    """The jars for S3 of this pyspark, fetched when they are not there yet, with commas between."""
    import pyspark

    name = "pyspark-3.5" if pyspark.__version__.startswith("3.5.") else "pyspark-4"
    return subprocess.run([ROOT / "scripts" / "jars", name], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def s3_properties() -> dict[str, str]:
    """The settings of conf/spark-s3.conf, as spark-submit reads them."""
    lines = [line.strip() for line in S3_CONF.read_text().splitlines()]
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


@contextmanager
def s3_server() -> Iterator[tuple[str, int]]:
    """A server with nothing on it: its host and port."""
    command = [sys.executable, "-W", "ignore", "-c", _MOTO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield "127.0.0.1", int(process.stdout.readline())
        finally:
            process.kill()


class Bucket:
    """A new bucket of a server, filled and looked at past the proxy: what a test itself does is not counted."""

    def __init__(self, server: tuple[str, int]) -> None:
        import boto3

        self.name = f"bucket-{next(_numbers)}"
        keys = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_REGION"}
        self._client: Any = boto3.client("s3", "us-east-1", endpoint_url="http://{}:{}".format(*server), **keys)
        self._client.create_bucket(Bucket=self.name)

    def uri(self, key: str = "", scheme: str = "s3") -> str:
        """The URI of a key, or of the bucket."""
        return f"{scheme}://{self.name}/{key}"

    def put(self, key: str, content: bytes = b"") -> None:
        """Writes an object."""
        self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        content: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def delete(self, key: str) -> None:
        """Removes an object."""
        self._client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        """The keys below a prefix, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def uploads(self) -> list[str]:
        """The keys of the uploads that were begun and neither completed nor aborted."""
        return [item["Key"] for item in self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

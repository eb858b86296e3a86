"""What all tests share: hypothesis without a clock, the same examples every time; and an S3 server for those that ask."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.s3_proxy import Proxy, s3_proxy
from tests.s3_server import CREDENTIALS, Bucket, s3_server

settings.register_profile(
    "flowspark",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("flowspark")


@pytest.fixture(scope="session")
def _proxy() -> Iterator[Proxy]:
    """The S3 endpoint of all tests; the environment names it, for Spark, for its Python workers and for new processes."""
    with s3_proxy() as proxy, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": proxy.url}).items():
            patch.setenv(name, value)
        yield proxy


@pytest.fixture(scope="session")
def _server(_proxy: Proxy) -> Iterator[tuple[str, int]]:
    with s3_server() as address:
        _proxy.upstream = address
        yield address


@pytest.fixture
def bucket(_server: tuple[str, int]) -> Bucket:
    """A new bucket on the S3 server."""
    return Bucket(_server)


@pytest.fixture
def proxy(_proxy: Proxy) -> Iterator[Proxy]:
    """What lies between the code under test and the S3 server: it counts the requests, and spoils them when told to."""
    _proxy.clear()
    yield _proxy
    _proxy.clear()

"""The S3 server that AWS's own tools would talk to: Amazon's, unless the environment names another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """An S3 server that is not Amazon's: its URL, and the region to sign requests for."""

    url: str
    region: str


def s3_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint | None:
    """The server that AWS_ENDPOINT_URL_S3, or else AWS_ENDPOINT_URL, names; None for Amazon's own.

    >>> s3_endpoint({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_REGION": "eu-west-1"})
    Endpoint(url='http://127.0.0.1:9000', region='eu-west-1')
    """
    url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return Endpoint(url, default_region(environment) or "us-east-1") if url else None


def default_region(environment: Mapping[str, str] = os.environ) -> str | None:
    """The region that AWS_REGION, or else AWS_DEFAULT_REGION, names."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None

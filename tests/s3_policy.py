"""An IAM policy, applied to requests to S3: which actions a request needs, and whether the policy allows them.

The actions and their resources are those of the Service Authorization Reference for Amazon S3. Of policies, only what those
of this repository use is understood: `Allow`, wildcards, and the condition `StringLike` on `s3:prefix`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.s3_proxy import Request

_ON_KEY = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "DeleteObject": "DeleteObject",
}
_ON_BUCKET = {
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketLocation": "GetBucketLocation",
}
_BY_HEADER = {"x-amz-acl": "PutObjectAcl", "x-amz-tagging": "PutObjectTagging"}
_PARAMETERS = frozenset(
    "uploads uploadId partNumber delete location list-type prefix delimiter max-keys max-uploads continuation-token "
    "start-after marker key-marker upload-id-marker encoding-type fetch-owner x-id".split()
)
_UNKNOWN = "unknown"


class Need(NamedTuple):
    """An action, what it is done to, and the value of `s3:prefix`, if the request has one."""

    action: str
    resource: str
    prefix: str | None = None


def needs(request: Request, body: bytes = b"") -> Iterator[Need]:
    """The actions that a request needs. A request that is not understood needs an action that no policy allows."""
    operation, bucket = request.operation, f"arn:aws:s3:::{request.bucket}"
    if request.query.keys() - _PARAMETERS:  # a version, tags, access lists and so on, which have actions of their own
        yield Need(_UNKNOWN, bucket)
    elif operation in _ON_KEY:
        yield Need(f"s3:{_ON_KEY[operation]}", f"{bucket}/{request.key}")
        for header in _BY_HEADER.keys() & request.headers.keys():
            yield Need(f"s3:{_BY_HEADER[header]}", f"{bucket}/{request.key}")
    elif operation in _ON_BUCKET:
        yield Need(f"s3:{_ON_BUCKET[operation]}", bucket, request.query.get("prefix"))
    elif operation == "CopyObject":
        yield Need("s3:GetObject", "arn:aws:s3:::" + unquote(request.headers["x-amz-copy-source"]).lstrip("/"))
        yield Need("s3:PutObject", f"{bucket}/{request.key}")
    elif operation == "DeleteObjects":
        for key in ET.fromstring(body).iterfind(".//{*}Key"):
            yield Need("s3:DeleteObject", f"{bucket}/{key.text}")
    else:
        yield Need(_UNKNOWN, bucket)


def may_know(bucket: str) -> Need:
    """What S3 asks for before it answers that an object is missing; without it, the answer is 403.

    AWS does not document what the prefix is then. The stricter answer, which users report, is that there is none, so that a
    condition on the prefix never holds.
    """
    return Need("s3:ListBucket", f"arn:aws:s3:::{bucket}")


def allows(policy: Mapping[str, Any], need: Need) -> bool:
    """Whether one of the policy's statements allows an action."""
    return any(_allows(statement, need) for statement in policy["Statement"])


def _allows(statement: Mapping[str, Any], need: Need) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown or statement["Effect"] != "Allow":
        raise ValueError(f"the tests do not understand this statement: {statement}")
    return (
        _matches(statement["Action"], need.action)
        and _matches(statement["Resource"], need.resource)
        and _holds(statement.get("Condition", {}), need.prefix)
    )


def _holds(condition: Mapping[str, Any], prefix: str | None) -> bool:
    if not condition:
        return True
    if condition.keys() != {"StringLike"} or condition["StringLike"].keys() != {"s3:prefix"}:
        raise ValueError(f"the tests do not understand this condition: {condition}")
    return prefix is not None and _matches(condition["StringLike"]["s3:prefix"], prefix)


def _matches(patterns: str | list[str], text: str) -> bool:
    """Whether a text matches one of some patterns with `*` and `?`, as IAM understands them.

    >>> _matches("arn:aws:s3:::bucket/out/*", "arn:aws:s3:::bucket/out/a/b"), _matches(["s3:Get*"], "s3:PutObject")
    (True, False)
    """
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, text, re.DOTALL):
            return True
    return False

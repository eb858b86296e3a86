"""The policies that tests enforce: what requests need, and what policies allow, by AWS's documentation."""

from __future__ import annotations

import pytest

from tests.s3_policy import Need, allows, may_know, needs
from tests.s3_proxy import Request

KEY, BUCKET = "arn:aws:s3:::b/k/a", "arn:aws:s3:::b"
DELETE = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>k/a</Key></Object><Object><Key>c</Key></Object></Delete>'


def need(method: str, key: str = "", body: bytes = b"", headers: dict[str, str] | None = None, **query: str) -> list[Need]:
    return [*needs(Request(method, "b", key, query, headers or {}), body)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (need("HEAD", "k/a"), [("s3:GetObject", KEY)]),
        (need("GET", "k/a"), [("s3:GetObject", KEY)]),
        (need("PUT", "k/a"), [("s3:PutObject", KEY)]),
        (need("POST", "k/a", uploads=""), [("s3:PutObject", KEY)]),
        (need("PUT", "k/a", uploadId="1", partNumber="1"), [("s3:PutObject", KEY)]),
        (need("POST", "k/a", uploadId="1"), [("s3:PutObject", KEY)]),
        (need("DELETE", "k/a", uploadId="1"), [("s3:AbortMultipartUpload", KEY)]),
        (need("DELETE", "k/a"), [("s3:DeleteObject", KEY)]),
        (need("POST", body=DELETE, delete=""), [("s3:DeleteObject", KEY), ("s3:DeleteObject", f"{BUCKET}/c")]),
        (need("GET", prefix="k/"), [("s3:ListBucket", BUCKET, "k/")]),
        (need("GET", uploads="", prefix="k/"), [("s3:ListBucketMultipartUploads", BUCKET, "k/")]),
        (need("HEAD"), [("s3:ListBucket", BUCKET)]),
        (
            need("PUT", "k/a", headers={"x-amz-copy-source": "/o/x%20y"}),
            [("s3:GetObject", "arn:aws:s3:::o/x y"), ("s3:PutObject", KEY)],
        ),
        (need("PUT", "k/a", headers={"x-amz-acl": "private"}), [("s3:PutObject", KEY), ("s3:PutObjectAcl", KEY)]),
    ],
)
def test_a_request_needs_the_actions_of_the_service_authorization_reference(found, expected):
    assert found == [Need(*row) for row in expected]


@pytest.mark.parametrize("found", [need("GET", "k/a", versionId="1"), need("GET", acl=""), need("PUT", "k/a", tagging="")])
def test_what_is_not_understood_is_never_allowed(found):
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    assert [allows(everything, one) for one in found] == [False]


def test_a_statement_allows_its_actions_on_its_resources_under_its_condition():
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET}
    limited = listing | {"Condition": {"StringLike": {"s3:prefix": ["k/*", ""]}}}
    reading = {"Effect": "Allow", "Action": ["s3:Get*"], "Resource": [f"{BUCKET}/k/*"]}
    policy = {"Statement": [limited, reading]}
    assert allows(policy, Need("s3:GetObject", KEY))
    assert not allows(policy, Need("s3:GetObject", f"{BUCKET}/k"))
    assert not allows(policy, Need("s3:PutObject", KEY))
    assert [allows(policy, Need("s3:ListBucket", BUCKET, prefix)) for prefix in ("k/a", "", "k", None)] == [
        True,
        True,
        False,
        False,
    ]
    assert not allows(policy, may_know("b"))
    assert allows({"Statement": [listing]}, may_know("b"))


@pytest.mark.parametrize(
    "part", [{"Effect": "Deny"}, {"NotAction": "s3:*"}, {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}]
)
def test_a_policy_that_is_not_understood_is_an_error(part):
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"} | part
    with pytest.raises(ValueError, match="do not understand"):
        allows({"Statement": [statement]}, Need("s3:GetObject", KEY))

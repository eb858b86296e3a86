"""conf/emr/policy.json: the job can do all that it does under it, and nothing in it is more than that."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from flowspark import pipeline
from flowspark.errors import CheckError, InputError
from flowspark.settings import Settings
from tests.logs import flow, log
from tests.platforms.emr import FOLDER, filled, settings, submission
from tests.s3_server import Bucket
from tests.spark.job import LOOKUP
from tests.unit.test_keys import key

POLICY = filled("policy.json")
ACTIONS = [
    (statement["Sid"], action)
    for statement in POLICY["Statement"]
    for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
]
# S3A looks for unfinished uploads when a write begins, only to warn of them, and does without when it may not.
NOT_NEEDED = {"s3:ListBucketMultipartUploads"}


class Place(NamedTuple):
    """The two buckets of the recipe."""

    logs: Bucket
    own: Bucket

    def policy(self) -> dict[str, Any]:
        return filled("policy.json", LOG_BUCKET=self.logs.name, BUCKET=self.own.name)

    def settings(self, day: str, **changes: Any) -> Settings:
        """The settings of the recipe for a day."""
        given = settings("serverless-job-run.json", LOG_BUCKET=self.logs.name, BUCKET=self.own.name, DAY=day)
        return Settings(**given.__dict__ | changes)

    def put(self, day: str, minute: int, *lines: str) -> None:
        """A log file as AWS delivers it."""
        moment = datetime.fromisoformat(f"{day}T05:{minute:02}").replace(tzinfo=UTC)
        self.logs.put(key(moment), log(*lines))

    def published(self, name: str, day: str) -> bytes:
        """The bytes of the one part file of a result."""
        (part,) = [k for k in self.own.keys(f"flow-counts/{name}/interval={day}/") if "/part-" in k]
        return self.own.get(part)

    def tags(self, day: str) -> bytes:
        """The published tag counts."""
        return self.published("tag_counts", day)


@pytest.fixture
def spark(spark):
    """A session that leaves unfinished uploads to the bucket's lifecycle rule, as the recipe has it."""
    (value,) = [v for n, v in submission("serverless-job-run.json").conf if n.endswith("abort.pending.uploads")]
    spark.conf.set("fs.s3a.committer.abort.pending.uploads", value)
    return spark


@pytest.fixture(scope="module")
def place(_server):
    place = Place(Bucket(_server), Bucket(_server))
    place.own.put("flowspark/lookup.csv", LOOKUP.encode())
    return place


@pytest.fixture(scope="module")
def published(_spark, place):
    """A day that was published without a policy."""
    place.put("2026-11-20", 0, flow(443))
    pipeline.run(_spark, place.settings("2026-11-20"))
    return place


@pytest.mark.parametrize(
    ("reader", "day"), [pytest.param("direct", "2026-11-21", marks=pytest.mark.newest), ("spark", "2026-11-22")]
)
def test_nothing_that_a_run_needs_is_refused(spark, place, proxy, reader, day):
    proxy.enforce(place.policy())
    place.put(day, 0, flow(443), flow(53, 17))
    pipeline.run(spark, place.settings(day, reader=reader, skip_unchanged=True))
    assert place.tags(day) == b"tag,count\ndns,1\nweb,1\n"

    assert pipeline.run(spark, place.settings(day, reader=reader, skip_unchanged=True)).tops is None
    place.put(day, 5, flow(443), flow(22))
    pipeline.run(spark, place.settings(day, reader=reader, skip_unchanged=True))
    assert place.tags(day) == b"tag,count\nweb,2\ndns,1\nssh,1\n"

    place.put(day, 10, "no record", flow(443))
    with pytest.raises(CheckError, match="1 of 6"):
        pipeline.run(spark, place.settings(day, reader=reader))
    assert place.tags(day) == b"tag,count\nweb,2\ndns,1\nssh,1\n"
    with pytest.raises(InputError, match="no log file under input"):
        pipeline.run(spark, place.settings("2026-10-01", reader=reader))
    assert {need.action for need in proxy.refused} == NOT_NEEDED


def test_nothing_that_retag_needs_is_refused(spark, published, proxy):
    proxy.enforce(published.policy())
    again = pipeline.run(spark, published.settings("2026-11-20", input=(), retag=True)).summary
    assert published.tags("2026-11-20") == b"tag,count\nweb,1\n"
    assert again["run_id"].encode() in published.published("summary", "2026-11-20")
    assert {need.action for need in proxy.refused} == NOT_NEEDED


@pytest.mark.parametrize(("sid", "action"), ACTIONS)
def test_without_any_one_of_its_actions_a_run_fails(spark, published, proxy, sid, action):
    policy = copy.deepcopy(published.policy())
    (statement,) = [statement for statement in policy["Statement"] if statement["Sid"] == sid]
    statement["Action"] = [other for name, other in ACTIONS if name == sid and other != action]
    proxy.enforce(policy)
    with pytest.raises(Exception, match=r"403|Denied|DENIED"):
        pipeline.run(spark, published.settings("2026-11-20"))
    assert {need.action for need in proxy.refused} - NOT_NEEDED == {action}
    assert published.tags("2026-11-20") == b"tag,count\nweb,1\n"


def test_with_the_direct_reader_the_names_of_other_logs_can_be_hidden(spark, place, proxy):
    policy = place.policy()
    readme = (FOLDER / "README.md").read_text()
    (condition,) = re.findall(r"^\{.*s3:prefix.*\}$", readme, re.MULTILINE)
    policy["Statement"][0]["Condition"] = json.loads(condition)
    day = "2026-11-23"
    place.put(day, 0, flow(443))
    proxy.enforce(policy)
    pipeline.run(spark, place.settings(day, reader="direct"))
    assert place.tags(day) == b"tag,count\nweb,1\n"
    with pytest.raises(InputError, match="403"):
        pipeline.run(spark, place.settings(day, reader="spark"))


def test_spark_knows_each_setting_of_the_recipes(spark):
    java = spark._jvm
    java.java.lang.Class.forName(
        "org.apache.spark.deploy.yarn.config.package$"
    )  # YARN's settings are known once it is loaded
    known = java.org.apache.spark.internal.config.ConfigEntry
    s3a = java.org.apache.hadoop.fs.s3a.commit.CommitConstants
    given = {name for recipe in ("serverless-job-run.json", "step.json") for name, _ in submission(recipe).conf}
    unknown = {name for name in given if known.findEntry(name) is None}
    assert unknown == {
        "spark.hadoop." + s3a.FS_S3A_COMMITTER_ABORT_PENDING_UPLOADS,
        *(name for name in given if name.startswith("spark.emr-serverless.")),
        *(name for name in given if re.fullmatch(r"spark\.(yarn\.appMasterEnv|executorEnv)\.\w+", name)),
    }


@pytest.mark.newest
def test_the_proxy_answers_as_s3_does_under_a_policy(bucket, proxy):
    client = boto3.client("s3", "us-east-1", endpoint_url=proxy.url)

    def status(operation: str, **parameters: object) -> int:
        try:
            answer = getattr(client, operation)(Bucket=bucket.name, **parameters)
        except ClientError as error:
            answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"]

    bucket.put("k/a", b"x")
    place = f"arn:aws:s3:::{bucket.name}"
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{place}/k/*"}
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": place}
    proxy.enforce({"Statement": [reading]})
    assert [status("get_object", Key=key) for key in ("k/a", "k/missing", "other")] == [200, 403, 403]
    assert [status("head_object", Key="k/missing"), status("list_objects_v2"), status("head_bucket")] == [403, 403, 403]
    (error,) = client.delete_objects(Bucket=bucket.name, Delete={"Objects": [{"Key": "k/a"}]})["Errors"]
    assert (error["Key"], error["Code"], bucket.keys()) == ("k/a", "AccessDenied", ["k/a"])
    proxy.enforce({"Statement": [reading, listing]})
    assert [status("get_object", Key=key) for key in ("k/a", "k/missing", "other")] == [200, 404, 403]
    assert [status("head_object", Key="k/missing"), status("list_objects_v2"), status("head_bucket")] == [404, 200, 200]

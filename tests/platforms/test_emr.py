"""The recipes and policies of conf/emr, against AWS's own description of its services and the job's own parser."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flowspark.errors import UsageError
from flowspark.settings import Settings
from tests.platforms.emr import FOLDER, VALUES, filled, settings, submission

botocore = pytest.importorskip("botocore.session")

RECIPES = ["serverless-job-run.json", "step.json"]
RELEASES = ["serverless-application-spark-3.5.json", "serverless-application-spark-4.0.json"]
POLICIES = ["policy.json", "policy-platform.json", "policy-caller.json"]
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# from AWS's table of Spark job properties for EMR Serverless
SERVERLESS_CONFS = {"spark.emr-serverless.driverEnv.*", "spark.emr-serverless.memoryOverheadFactor"}
# GB that a worker of EMR Serverless may have, by its vCPUs, and the largest vCPUs that a new account may use at a time
WORKER_MEMORY = {2: range(4, 17), 4: range(8, 31)}
DEFAULT_QUOTA = 16
YARN_MEMORY = 12  # GB of an m6i.xlarge that EMR gives to YARN


def faults(shape: Any, value: Any, place: str) -> Iterator[str]:
    """What a service's model has against a value. botocore's own validation looks at neither patterns nor enums."""
    if shape.type_name == "structure":
        yield from (f"{place} has no {name}" for name in shape.required_members if name not in value)
        for name, member in value.items():
            if name in shape.members:
                yield from faults(shape.members[name], member, f"{place}.{name}")
            else:
                yield f"{place} may not have {name}"
    elif shape.type_name == "list":
        for number, member in enumerate(value):
            yield from faults(shape.member, member, f"{place}[{number}]")
    elif shape.type_name == "string":
        rules = shape.metadata
        pattern = rules.get("pattern", ".*")
        any_text = r"\uDBFF" in pattern  # EMR's way to write it, with halves of characters, which Python does not read
        if "enum" in rules and value not in rules["enum"]:
            yield f"{place} is '{value}', not one of {rules['enum']}"
        if not any_text and not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{place} is '{value}', which does not match {pattern}"
        if not rules.get("min", 0) <= len(value) <= rules.get("max", math.inf):
            yield f"{place} is '{value}', which is too short or too long"
    elif shape.type_name in ("integer", "long") and not isinstance(value, int):
        yield f"{place} is {value!r}, not a number"


def request(name: str, **values: str) -> tuple[str, str, dict[str, Any]]:
    """The service, the operation and the parameters that the AWS CLI makes of a file."""
    content = filled(name, **values)
    if name in RELEASES:
        return "emr-serverless", "CreateApplication", content | {"clientToken": "made-by-the-cli"}
    if name == "serverless-job-run.json":
        return "emr-serverless", "StartJobRun", content | {"clientToken": "made-by-the-cli"}
    if name == "step.json":
        assert [step.pop("Type") for step in content] == ["CUSTOM_JAR"]
        steps = [{"HadoopJarStep": {"Jar": step.pop("Jar"), "Args": step.pop("Args")}} | step for step in content]
        return "emr", "AddJobFlowSteps", {"JobFlowId": "j-1", "Steps": steps}
    if name == "cluster-instances.json":
        groups = [{"InstanceRole": group.pop("InstanceGroupType")} | group for group in content]
        return "emr", "RunJobFlow", {"Name": "flowspark", "Instances": {"InstanceGroups": groups}}
    return "s3", "PutBucketLifecycleConfiguration", {"Bucket": "acme-flow-counts", "LifecycleConfiguration": content}


def request_faults(name: str, **values: str) -> list[str]:
    service, operation, parameters = request(name, **values)
    model = botocore.get_session().get_service_model(service)
    return [*faults(model.operation_model(operation).input_shape, parameters, operation)]


@pytest.mark.parametrize("name", [*RELEASES, *RECIPES, "cluster-instances.json", "lifecycle.json"])
def test_aws_has_nothing_against_a_file_that_is_filled_in(name):
    assert request_faults(name, **VALUES) == []


def test_aws_refuses_a_job_run_without_an_application_or_an_account():
    forgotten = {name: value for name, value in VALUES.items() if name not in ("ACCOUNT", "APPLICATION_ID")}
    application, role = request_faults("serverless-job-run.json", **forgotten)
    assert application.startswith("StartJobRun.applicationId is 'FILL_IN_APPLICATION_ID', which does not match")
    assert role.startswith("StartJobRun.executionRoleArn is 'arn:aws:iam::FILL_IN_ACCOUNT:role/flowspark', which does not")


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_job_takes_the_arguments_of_a_recipe(recipe):
    assert settings(recipe, **VALUES) == Settings(
        input=("s3://acme-vpc-logs",),
        lookup="s3://acme-flow-counts/flowspark/lookup.csv",
        output="s3://acme-flow-counts/flow-counts",
        interval="2026-11-22",
    )


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("forgotten", "told"),
    [("LOG_BUCKET", "input 's3://FILL_IN_LOG_BUCKET'"), ("BUCKET", "lookup 's3://FILL_IN_BUCKET/"), ("DAY", "FILL_IN_DAY")],
)
def test_the_job_refuses_a_recipe_with_a_placeholder(recipe, forgotten, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        settings(recipe, **{name: value for name, value in VALUES.items() if name != forgotten})


@pytest.mark.parametrize("recipe", RECIPES)
def test_driver_and_executors_run_the_interpreter_of_the_archive(recipe):
    given = submission(recipe, **VALUES)
    confs = dict(given.conf)
    archives = given.archives or confs["spark.archives"]
    assert archives == "s3://acme-flow-counts/flowspark/environment.tar.gz#environment"
    assert given.job == "s3://acme-flow-counts/flowspark/tag_flows.py"
    interpreters = {name: value for name, value in confs.items() if "PYTHON" in name}
    assert set(interpreters.values()) == {"./environment/bin/python"}
    driver = (
        ["spark.yarn.appMasterEnv.PYSPARK_PYTHON"]
        if recipe == "step.json"
        else ["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "spark.emr-serverless.driverEnv.PYSPARK_PYTHON"]
    )
    assert set(interpreters) == {*driver, "spark.executorEnv.PYSPARK_PYTHON"}


def test_the_settings_of_emr_serverless_are_those_that_aws_documents():
    confs = [name for name, _ in submission("serverless-job-run.json").conf if "emr-serverless" in name]
    assert {re.sub(r"(Env)\..*", r"\1.*", name) for name in confs} == SERVERLESS_CONFS


def _gigabytes(text: str) -> int:
    return int(re.fullmatch(r"(\d+)(?:g| GB)", text)[1])


def test_the_workers_of_a_job_run_fit_the_application_and_the_quota_of_a_new_account():
    confs = dict(submission("serverless-job-run.json").conf)
    sizes = {}
    for role in ("driver", "executor"):
        memory = _gigabytes(confs[f"spark.{role}.memory"]) * (1 + float(confs["spark.emr-serverless.memoryOverheadFactor"]))
        sizes[role] = int(confs[f"spark.{role}.cores"]), math.ceil(memory)
        assert sizes[role][1] in WORKER_MEMORY[sizes[role][0]]
    workers = [sizes["driver"], *[sizes["executor"]] * int(confs["spark.dynamicAllocation.maxExecutors"])]
    for release in RELEASES:
        limit = filled(release)["maximumCapacity"]
        assert sum(cores for cores, _ in workers) <= int(limit["cpu"].removesuffix(" vCPU")) <= DEFAULT_QUOTA
        assert sum(memory for _, memory in workers) <= _gigabytes(limit["memory"])


def test_a_failed_run_is_not_run_again_by_emr_itself():
    assert filled("serverless-job-run.json")["retryPolicy"] == {"maxAttempts": 1}
    assert dict(submission("step.json").conf)["spark.yarn.maxAppAttempts"] == "1"


def test_the_driver_and_an_executor_of_a_step_fit_one_core_node():
    confs = dict(submission("step.json").conf)
    driver = _gigabytes(confs["spark.driver.memory"]) + 0.384  # Spark's least overhead
    executor = _gigabytes(confs["spark.executor.memory"]) + _gigabytes(confs["spark.executor.memoryOverhead"])
    assert driver + executor <= YARN_MEMORY
    assert {group["InstanceType"] for group in filled("cluster-instances.json")} == {"m6i.xlarge"}


@pytest.mark.parametrize("name", [*POLICIES, "trust-serverless.json", "trust-ec2.json"])
def test_iam_accepts_a_policy_that_is_filled_in(name):
    from moto.iam.policy_validation import IAMPolicyDocumentValidator, IAMTrustPolicyDocumentValidator

    validator = IAMTrustPolicyDocumentValidator if name.startswith("trust") else IAMPolicyDocumentValidator
    text = re.sub(r"FILL_IN_([A-Z_]+)", lambda match: VALUES[match[1]], (FOLDER / name).read_text())
    validator(text).validate()
    assert "FILL_IN" not in text


def test_a_caller_may_do_what_emr_serverless_calls_so():
    statements: list[Mapping[str, Any]] = filled("policy-caller.json")["Statement"]
    operations = botocore.get_session().get_service_model("emr-serverless").operation_names
    assert {action.removeprefix("emr-serverless:") for action in statements[0]["Action"]} <= set(operations)
    assert statements[1]["Resource"] == filled("serverless-job-run.json")["executionRoleArn"]


def test_the_readme_explains_each_file_each_placeholder_and_each_setting():
    texts = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert set(re.findall(r"`([\w.-]+\.json)`", README)) == set(texts)
    assert set(re.findall(r"my-emr/([\w.-]+\.json)", README)) <= set(texts)
    placeholders = {name for text in texts.values() for name in re.findall(r"FILL_IN_[A-Z_]+", text)}
    assert set(re.findall(r"^\| `(FILL_IN_\w+)`", README, re.MULTILINE)) == placeholders
    confs = {name for recipe in RECIPES for name, _ in submission(recipe).conf}
    explained = set(re.findall(r"`(spark\.[\w.*-]+)`", README))
    assert {name for name in confs if name not in explained and re.sub(r"Env\..*", "Env.*", name) not in explained} == set()

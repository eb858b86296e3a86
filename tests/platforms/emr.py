"""The recipes of conf/emr, filled in, and what a run of them hands to the job and to Spark."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

from flowspark.cli import parser
from flowspark.settings import NAMES, Settings, load_settings

FOLDER = Path(__file__).parent.parent.parent / "conf" / "emr"
VALUES = {
    "LOG_BUCKET": "acme-vpc-logs",
    "BUCKET": "acme-flow-counts",
    "ACCOUNT": "123456789012",
    "APPLICATION_ID": "00fabcdefghijk09",
    "DAY": "2026-11-22",
}


def filled(name: str, **values: str) -> Any:
    """A file of the folder, with each FILL_IN_… that has a value replaced by it."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return json.loads(re.sub(r"FILL_IN_([A-Z_]+)", lambda match: values.get(match[1], match[0]), text))


def submission(recipe: str, **values: str) -> argparse.Namespace:
    """What a recipe hands to spark-submit: `conf`, `archives`, `deploy_mode`, the job's file, and its `arguments`."""
    if recipe == "step.json":
        (step,) = filled(recipe, **values)
        command, *words = step["Args"]
        assert command == "spark-submit"
    else:
        driver = filled(recipe, **values)["jobDriver"]["sparkSubmit"]
        words = [*shlex.split(driver["sparkSubmitParameters"]), driver["entryPoint"], *driver["entryPointArguments"]]
    submit = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    submit.add_argument("--conf", action="append", type=lambda text: tuple(text.split("=", 1)))
    submit.add_argument("--archives")
    submit.add_argument("--deploy-mode")
    submit.add_argument("job")
    submit.add_argument("arguments", nargs=argparse.REMAINDER)
    return submit.parse_args(words)


def settings(recipe: str, **values: str) -> Settings:
    """The settings that the job makes of a recipe's arguments."""
    given = vars(parser().parse_args(submission(recipe, **values).arguments))
    return load_settings({name: given[name] for name in NAMES}, given["config"])

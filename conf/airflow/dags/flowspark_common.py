"""What the DAGs of flowspark share: where the data lies, when an interval is counted, the job's arguments, and retries.

A way of running (EMR Serverless, EMR step, Databricks, spark-submit) is a file beside this one. Each makes four DAGs:

    flowspark_WAY_daily          counts each UTC day, some time after it has ended
    flowspark_WAY_daily_again    counts it once more two days later, if log files came late
    flowspark_WAY_hourly         the same for hours
    flowspark_WAY_hourly_again

The data interval of a DAG run is the day or hour that the run counts. Whatever happens, a run replaces its own interval and
nothing else, so retries, backfills and second passes are safe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, Asset, BaseOperator, CronDataIntervalTimetable

# To fill in. The names are those of conf/emr.
INPUTS = ["s3://FILL_IN_LOG_BUCKET"]
LOOKUP = "s3://FILL_IN_BUCKET/flowspark/lookup.csv"
OUTPUT = "s3://FILL_IN_BUCKET/flow-counts"
FLAGS: list[str] = []  # further flags of the job, such as ["--allow-empty"] where an hour may have no logs
START = datetime(2026, 11, 1, tzinfo=UTC)  # the first day that is counted without being asked for

# How long a run may take. EMR Serverless and Databricks end a longer one (conf/emr, conf/databricks). Airflow stops waiting
# after LIMIT + QUEUE for EMR, and after LIMIT + 2 * QUEUE for Databricks; then it also ends a spark-submit.
LIMIT = timedelta(hours=3)
# The longest that a platform may need before a run starts: an application that starts, a cluster that is busy.
QUEUE = timedelta(hours=1)

RETRIES = {
    "retries": 3,
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": 2,  # each delay is twice the one before
    "max_retry_delay": timedelta(hours=1),
}

RESULTS = ("tag_counts", "port_protocol_counts", "rejects", "files", "summary")

# CronDataIntervalTimetable, because a plain cron text gives a run no data interval in Airflow 3.
_CRON = {"daily": "0 0 * * *", "hourly": "0 * * * *"}
INTERVAL = {
    "daily": "{{ data_interval_start.strftime('%Y-%m-%d') }}",
    "hourly": "{{ data_interval_start.strftime('%Y-%m-%dT%H') }}",
}


@dataclass(frozen=True)
class Pass:
    """One pass over the intervals: how long after an interval's end it starts, and its further flags."""

    period: str
    suffix: str
    delay: timedelta
    flags: tuple[str, ...]


# Only one run of a DAG is active, but the second pass does not fall behind: each run waits until two days after its own
# interval, not two days from its start.
PASSES = (
    Pass("daily", "", timedelta(hours=2), ()),
    Pass("daily", "_again", timedelta(days=2), ("--skip-unchanged",)),
    Pass("hourly", "", timedelta(minutes=30), ()),
    Pass("hourly", "_again", timedelta(days=2), ("--skip-unchanged",)),
)


def schedule(period: str) -> CronDataIntervalTimetable:
    """A timetable whose data intervals are UTC days or hours."""
    return CronDataIntervalTimetable(_CRON[period], timezone="UTC")


def arguments(each: Pass) -> list[str]:
    """The arguments of the job, with a template for the interval."""
    inputs = [text for uri in INPUTS for text in ("--input", uri)]
    return [*inputs, "--lookup", LOOKUP, "--output", OUTPUT, "--interval", INTERVAL[each.period], *FLAGS, *each.flags]


def make_dags(way: str, operator: Callable[..., BaseOperator]) -> None:
    """Makes the DAGs of one way of running.

    Args:
        way: its name, a part of the DAGs' ids.
        operator: makes the task that runs the job. It gets the pass and, by name, what any operator takes.
    """
    for each in PASSES:
        task: dict[str, Any] = {
            "task_id": "count",
            "execution_timeout": LIMIT + 2 * QUEUE,
            "outlets": [Asset(f"flowspark_{name}", f"{OUTPUT}/{name}") for name in RESULTS],
        }
        with DAG(
            f"flowspark_{way}_{each.period}{each.suffix}",
            schedule=schedule(each.period),
            start_date=START,
            catchup=True,  # an interval that ended while Airflow was down is counted too
            max_active_runs=1,
            default_args=RETRIES,
            tags=["flowspark"],
        ):
            TimeDeltaSensor(
                task_id="wait_for_late_files",
                delta=each.delay,
                deferrable=True,
                timeout=(each.delay + timedelta(days=1)).total_seconds(),
            ) >> operator(each, **task)


def waiter(delay: int) -> dict[str, int]:
    """How often an operator of AWS asks whether a run has ended, every `delay` seconds, for as long as it may take."""
    return {"waiter_delay": delay, "waiter_max_attempts": int((LIMIT + QUEUE).total_seconds()) // delay}

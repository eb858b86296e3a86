"""The job's entry point on Databricks: finds out which UTC day a run is for, and runs flowspark for it.

Databricks tells a task when its run was due (`{{job.trigger.time.iso_date}}`), but cannot count days back from there.

    tag_days.py --due=2026-11-23 --interval=scheduled --input=…     runs flowspark --interval 2026-11-22 --input=…

`--due` is the day on which the run was due, and `--days-back` (default 1) how many days before it the counted day is. If
`--interval` names a day or an hour, that interval is counted instead. All other arguments are flowspark's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date, timedelta

from flowspark.cli import main


def flowspark_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments for flowspark."""
    flags = argparse.ArgumentParser(prog="tag_days.py", allow_abbrev=False)
    flags.add_argument("--due", type=date.fromisoformat, required=True)
    flags.add_argument("--days-back", type=int, default=1)
    flags.add_argument("--interval", default="scheduled")
    given, others = flags.parse_known_args(arguments)
    day = given.due - timedelta(days=given.days_back)
    return [f"--interval={day if given.interval == 'scheduled' else given.interval}", *others]


if __name__ == "__main__":
    code = main(flowspark_arguments(sys.argv[1:]))
    if code:  # Databricks takes even sys.exit(0) for a failure
        sys.exit(code)

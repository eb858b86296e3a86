"""`python -m flowspark` is the command `flowspark`."""

from flowspark.cli import run

run()

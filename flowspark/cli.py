"""The command: arguments, exit codes, and what a person sees."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import flowspark
from flowspark.driver_log import report_failure
from flowspark.errors import FlowsparkError, UsageError, cause, did_you_mean, printable
from flowspark.progress import CLEAR
from flowspark.requirements import SAME_PYTHON, missing_on_worker
from flowspark.settings import LOG_FORMATS, LOG_LEVELS, NAMES, Settings, load_settings

log = logging.getLogger(__name__)

_OTHER_ERROR = 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        for word in re.findall(r"--[\w-]+", message) if "unrecognized" in message else []:
            message += did_you_mean(word, self._option_string_actions)
        try:
            super().error(printable(message))
        finally:
            report_failure(message, UsageError.exit_code)


class _Formatter(logging.Formatter):
    """Shows one log record as one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        record.message = printable(record.message)
        return (CLEAR if sys.stderr.isatty() else "") + super().formatMessage(record)


class _JsonFormatter(logging.Formatter):
    """Shows one log record as one line of JSON: time, level and message, and for a phase its name, seconds and counts."""

    def format(self, record: logging.LogRecord) -> str:
        return _json_line(record.created, record.levelname, record.getMessage(), getattr(record, "fields", {}))


def parser() -> argparse.ArgumentParser:
    """The parser of the flags. A flag that is not given is None, so that the config file or the default applies."""
    flags = _Parser(
        prog="tag_flows.py" if Path(sys.argv[0]).name == "tag_flows.py" else "flowspark",
        description="Counts AWS VPC flow logs by tag and by port and protocol.",
        epilog="Exit codes: 0 done; 2 wrong usage; 3 an unusable input; 4 the data failed a check; 1 anything else.",
        allow_abbrev=False,
    )
    flags.add_argument("--input", action="append", metavar="URI", help="a log file or folder; may be repeated")
    flags.add_argument("--lookup", metavar="URI", help="the lookup table, CSV with dstport, protocol and tag")
    flags.add_argument("--output", metavar="URI", help="where the results go; each run replaces its own interval there")
    flags.add_argument("--interval", metavar="DAY|HOUR", help="a UTC day, 2026-11-22, or hour, 2026-11-22T05")
    for name in ("account", "region", "flow-log-id"):
        flags.add_argument(f"--{name}", action="append", metavar="ID", help=f"only files of this {name}; may be repeated")
    flags.add_argument("--output-format", metavar="csv|parquet", help="default csv")
    flags.add_argument(
        "--layout", metavar="FIELDS", help="for files without a header: field names in order, or v2 … v11, or tgw"
    )
    flags.add_argument("--reader", metavar="auto|direct|spark", help="who opens the files; default auto")
    flags.add_argument("--on-bad-file", metavar="fail|skip", help="a file that cannot be read to its end; default fail")
    flags.add_argument("--max-reject-ratio", metavar="SHARE", help="largest share of rejected record lines; default 0.01")
    flags.add_argument("--on-conflict", metavar="all|first|last|error", help="a lookup key with two tags; default all")
    for name, text in (
        ("allow-empty", "an input without a file for the run is no error"),
        ("skip-unchanged", "do nothing when files, lookup and settings are those of the interval's last run"),
        ("retag", "count the interval's stored scan again, with the lookup of today; needs no --input"),
        ("replace", "publish even if the output has the interval with other inputs or filters"),
        ("shared-filesystem", "all machines of the cluster have the same files at local paths, such as an NFS mount"),
    ):
        flags.add_argument(f"--{name}", action="store_true", default=None, help=text)
    flags.add_argument("--config", metavar="FILE.toml", help="the same names with underscores; flags win over it")
    flags.add_argument("--log-level", metavar="|".join(LOG_LEVELS), help="default INFO")
    flags.add_argument("--log-format", metavar="|".join(LOG_FORMATS), help="json: one object a log line; default text")
    flags.add_argument("--version", action="version", version=f"flowspark {flowspark.__version__}")
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    try:
        given = vars(parser().parse_args(arguments))
    except SystemExit as stop:  # argparse has printed its message
        return int(stop.code or 0)
    try:
        if given["config"] == "":
            raise UsageError("--config is empty; give the path of a TOML file, or leave the flag out")
        settings = load_settings({name: given[name] for name in NAMES}, given["config"])
    except FlowsparkError as error:
        return _fail(str(error), error.exit_code, given["log_format"])
    debug = settings.log_level == "DEBUG"
    _configure_logging(settings)
    try:
        _run(settings, debug=debug)
    except KeyboardInterrupt:
        return _fail("interrupted; the run publishes no summary", _OTHER_ERROR, settings.log_format)
    except Exception as error:  # whatever goes wrong: one message, and the trace with DEBUG
        if debug:
            _trace()
        if isinstance(error, FlowsparkError):
            return _fail(str(error), error.exit_code, settings.log_format)
        return _fail(_short(error), _OTHER_ERROR, settings.log_format)
    return 0


def run() -> None:
    """Runs the command as a console script: exits with its code, unless it is 0, which Databricks takes for a failure."""
    code = main()
    if code:
        sys.exit(code)


def _run(settings: Settings, *, debug: bool) -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # otherwise Spark Connect prints gRPC's own lines beside our message
    try:
        from flowspark import session
    except ModuleNotFoundError as error:
        if error.name != "pyspark":
            raise
        raise FlowsparkError("pyspark is missing; pip install 'flowspark[spark]', or run with spark-submit") from error
    with session.spark_session(debug=debug) as spark, _interrupts():
        from flowspark import pipeline, report  # not at the top: Java starts first

        result = pipeline.run(spark, settings, progress=sys.stderr.isatty())
        for warning in report.warnings(result.summary):
            log.warning("%s", warning)
        _show(report.tables(result), report.json_line(result.summary))  # Spark takes a second to stop


def _configure_logging(settings: Settings) -> None:
    """Sends log lines to stderr. Those of Spark's and Py4J's own Python code are shown only with DEBUG."""
    handler = logging.StreamHandler()
    text = _Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else text)
    if settings.log_level != "DEBUG":
        handler.addFilter(logging.Filter("flowspark"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    logging.getLogger("py4j").setLevel(logging.WARNING)  # at DEBUG it shows every call


@contextmanager
def _interrupts() -> Iterator[None]:
    """Makes SIGTERM act like Ctrl-C: the run gives up its claim and stops Spark. Schedulers end a run with SIGTERM.

    Raises:
        KeyboardInterrupt: a signal came. Spark's handler raises it too, but Py4J in Spark 3.5 turns it into another error.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set one
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handler = before[signal.SIGINT]  # Spark's own, which cancels the jobs that run
        (handler if callable(handler) else signal.default_int_handler)(number, frame)

    try:
        for number in before:
            signal.signal(number, interrupt)
        yield
    except Exception as error:
        if received:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _trace() -> None:
    print(printable(traceback.format_exc(), keep="\n\t"), file=sys.stderr)


def _show(*texts: str) -> None:
    """Prints the results. They are published already, so the run does not fail if they cannot be printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        print(*texts, sep="\n", flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, exit_code: int, log_format: str | None) -> int:
    """Says on stderr, and to a cluster, why the run has failed. Returns its exit code."""
    if log_format == "json":
        print(_json_line(time.time(), "ERROR", message, {"exit_code": exit_code}), file=sys.stderr)
    else:
        print(f"error: {printable(message, keep=chr(10))}", file=sys.stderr)
    report_failure(message, exit_code)
    return exit_code


def _json_line(seconds: float, level: str, message: str, fields: dict[str, Any]) -> str:
    """A log line as JSON. The time is given in seconds since 1970, and shown in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": moment, "level": level, "message": message} | fields)


def _short(error: Any) -> str:
    """One message for an error from inside Spark: what a worker has said, without the traces around it."""
    text = str(error)
    unfit = re.search(r"\bUnfitWorker: (.*)", text)
    if unfit:
        return unfit[1]
    versions = re.search(r"\[PYTHON_VERSION_MISMATCH\] (.*?), PySpark cannot run", text)
    if versions:
        return f"{versions[1]}; {SAME_PYTHON}"
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    if missing:
        return missing_on_worker(missing.group(1).split(".")[0])
    return f"{cause(error)}; run again with --log-level DEBUG for the whole account"

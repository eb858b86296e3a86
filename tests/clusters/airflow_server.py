"""Airflow on this machine: the scheduler, the API server and the triggerer, each a process of its own, on SQLite."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.clusters.processes import process
from tests.s3_server import ROOT

DAGS = ROOT / "conf" / "airflow" / "dags"
RECIPES = ROOT / "conf" / "emr"
_PATIENCE = 900.0  # seconds
_COMMANDS = """
import shlex, sys
from airflow.__main__ import main
for command in sys.argv[1:]:
    sys.argv = ["airflow", *shlex.split(command)]
    main()
"""


@cache
def python() -> str:
    """The Python of Airflow's own environment, which is made when it is not there yet."""
    return subprocess.run(
        [ROOT / "scripts" / "env", "airflow"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def filled_in(folder: Path, values: dict[str, str]) -> Path:
    """A copy of the DAGs and of the recipes that they read, filled in: each text in `values` is replaced by its value."""
    folder.mkdir()
    paths = [*DAGS.glob("*.py"), RECIPES / "serverless-job-run.json", RECIPES / "step.json"]
    texts = {path.name: path.read_text() for path in paths}
    for placeholder, value in values.items():
        assert any(placeholder in text for text in texts.values()), placeholder
        texts = {name: text.replace(placeholder, value) for name, text in texts.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


@dataclass(frozen=True)
class Airflow:
    """An Airflow with a database; `running` starts its processes."""

    folder: Path
    environment: dict[str, str]

    def commands(self, *commands: str) -> None:
        """Gives commands of Airflow, one after the other in one process: most of a command's time is Airflow's import."""
        done = subprocess.run(
            [python(), "-c", _COMMANDS, *commands],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        """What its database answers. Each command of Airflow takes seconds, so they are not what a test waits with."""
        with closing(sqlite3.connect(self.folder / "airflow.db", timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def states(self, dag: str) -> dict[str, str]:
        """The states of the runs of a DAG, by the day or hour that they count."""
        rows = self.rows("SELECT data_interval_start, state FROM dag_run WHERE dag_id = ? ORDER BY 1", dag)
        return {start[:10]: state for start, state in rows}

    def tries(self, dag: str, task: str) -> dict[str, int]:
        """How often a task of a DAG was tried, by the day that its run counts."""
        query = (
            "SELECT data_interval_start, try_number FROM task_instance t JOIN dag_run r USING (dag_id, run_id) "
            "WHERE dag_id = ? AND task_id = ? ORDER BY 1"
        )
        return {start[:10]: int(number) for start, number in self.rows(query, dag, task)}

    def unpause(self, dag: str) -> None:
        """Does what `airflow dags unpause` does, without the seconds that a command takes."""
        with closing(sqlite3.connect(self.folder / "airflow.db", timeout=60)) as connection, connection:
            connection.execute("UPDATE dag SET is_paused = FALSE WHERE dag_id = ?", (dag,))

    def wait(self, dag: str) -> None:
        """Waits until all runs of a DAG have ended."""
        wait_for(lambda: not {"queued", "running"} & set(self.states(dag).values()))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts the processes, and ends them with the block."""
        with ExitStack() as stack:
            for name, *flags in (["api-server", "--workers", "1"], ["scheduler"], ["triggerer"]):
                command = [python(), "-m", "airflow", name, *flags]
                stack.enter_context(process(self.folder / f"{name}.log", command, self.environment))
            wait_for(self._answers)  # a task that starts earlier fails
            yield

    def _answers(self) -> bool:
        try:
            with urlopen(self.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] + "health", timeout=5) as answer:
                return answer.status == 200
        except (URLError, ConnectionError, TimeoutError):
            return False


def airflow(folder: Path, dags: Path, **environment: str) -> Airflow:
    """An Airflow with a new database and these DAGs, all of them paused, as Airflow makes them.

    Args:
        folder: where it keeps its database and logs.
        dags: the folder of the DAGs.
        environment: what its tasks find in their environment beside the caller's own.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__PARALLELISM": "4",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db?timeout=60",  # seconds to wait for another's write
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "LOGGING__LOGGING_LEVEL": "WARNING",
    }
    base = os.environ | {"AIRFLOW_HOME": str(folder), "PYTHONPATH": ""}
    found = Airflow(folder, base | {f"AIRFLOW__{name}": value for name, value in settings.items()} | environment)
    found.commands("db migrate", "dags reserialize")
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this takes too long"
        time.sleep(0.5)

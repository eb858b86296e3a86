"""What a failed run tells Spark, where there is no cluster; tests/clusters/test_yarn.py has what it tells YARN."""

from __future__ import annotations

import socket
import subprocess
import sys

from flowspark.driver_log import report_failure


def test_a_run_that_spark_submit_has_not_started_does_not_look_for_java():
    script = "import sys; from flowspark.cli import main; main(['--lookup']); print('pyspark' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_java_that_cannot_be_reached_does_not_hide_why_a_run_has_failed(monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", str(server.getsockname()[1]))
    monkeypatch.setenv("PYSPARK_GATEWAY_SECRET", "secret")
    with caplog.at_level("DEBUG", "flowspark"):
        report_failure("the input is missing", 3)
    assert "could not be reported to Spark" in caplog.text

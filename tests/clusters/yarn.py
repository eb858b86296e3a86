"""YARN on this machine, which is what Amazon EMR runs on EC2: a ResourceManager and a NodeManager, each a process."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clusters.processes import PATIENCE, process
from tests.s3_server import CREDENTIALS, ROOT

# the Guice that YARN's pages are made with looks into Java's own classes; the rest is for short-lived processes
_JAVA = "--add-opens=java.base/java.lang=ALL-UNNAMED -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m"
_LOG4J = """\
log4j.rootLogger=INFO,stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d{HH:mm:ss} %p %c{1}: %m%n
"""


@dataclass
class Yarn:
    """A running YARN.

    Attributes:
        conf: the folder of its settings, for its clients (HADOOP_CONF_DIR).
        logs: the folder of the containers' logs.
        java: the command that starts Java with YARN's classes and settings.
    """

    conf: Path
    logs: Path
    java: list[str]

    def status(self, app: str) -> str:
        """What `yarn application -status` prints of an application."""
        command = [*self.java, "org.apache.hadoop.yarn.client.cli.ApplicationCLI", "application", "-status", app]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def container_log(self, app: str, name: str) -> str:
        """What the first container of an application, its ApplicationMaster, has written to `stdout` or `stderr`."""
        (path,) = self.logs.glob(f"{app}/container_*_01_000001/{name}")
        return path.read_text(errors="replace")


@contextmanager
def yarn(folder: Path) -> Iterator[Yarn]:
    """A ResourceManager and a NodeManager, in processes that end with the block.

    Args:
        folder: where their settings, logs and the containers' folders go.
    """
    jars = subprocess.run([ROOT / "scripts" / "jars", "yarn"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    conf = folder / "conf"
    web = _configure(conf, folder)
    java = ["java", *_JAVA.split(), "-cp", ":".join([str(conf), *jars.split(",")])]
    settings = {"JAVA_HOME": str(Path(shutil.which("java") or "java").resolve().parent.parent)}
    with ExitStack() as stack:
        for name in ("ResourceManager", "NodeManager"):
            server = f"org.apache.hadoop.yarn.server.{name.lower()}.{name}"
            stack.enter_context(process(folder / f"{name}.log", [*java, server], settings))
        _wait_for_node(web, folder)
        yield Yarn(conf, folder / "logs", java)


def _configure(conf: Path, folder: Path) -> str:
    """Writes the settings of both servers and of their clients, and returns the ResourceManager's web address."""
    conf.mkdir(parents=True)
    addresses = ("webapp.address", "address", "scheduler.address", "resource-tracker.address", "admin.address")
    with ExitStack() as stack:  # all at once, so that they are different
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in addresses]
        ports = [server.getsockname()[1] for server in sockets]
    site = {f"yarn.resourcemanager.{name}": f"127.0.0.1:{port}" for name, port in zip(addresses, ports, strict=True)} | {
        "yarn.resourcemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.address": "127.0.0.1:0",
        "yarn.nodemanager.localizer.address": "127.0.0.1:0",
        "yarn.nodemanager.webapp.address": "127.0.0.1:0",
        "yarn.nodemanager.local-dirs": str(folder / "local"),
        "yarn.nodemanager.log-dirs": str(folder / "logs"),
        "yarn.nodemanager.log.retain-seconds": "86400",  # the logs of a container stay where it wrote them
        # what containers inherit: on EC2, too, it is the machine that has credentials
        "yarn.nodemanager.env-whitelist": ",".join(["JAVA_HOME", "AWS_ENDPOINT_URL", *CREDENTIALS]),
        "yarn.nodemanager.resource.memory-mb": "6144",
        "yarn.nodemanager.resource.cpu-vcores": "4",
        "yarn.scheduler.minimum-allocation-mb": "256",
        "yarn.nodemanager.vmem-check-enabled": "false",  # Java reserves far more addresses than memory
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99",
        # a container is granted with a heartbeat of the node's; one a second is for large clusters
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "100",
    }
    queues = {
        "yarn.scheduler.capacity.root.queues": "default",
        "yarn.scheduler.capacity.root.default.capacity": "100",
        "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
    }
    core = {"fs.defaultFS": "file:///", "hadoop.tmp.dir": str(folder / "tmp")}
    for name, settings in (("core-site", core), ("yarn-site", site), ("capacity-scheduler", queues)):
        lines = [f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()]
        (conf / f"{name}.xml").write_text("\n".join(["<configuration>", *lines, "</configuration>\n"]))
    (conf / "log4j.properties").write_text(_LOG4J)
    return site["yarn.resourcemanager.webapp.address"]


def _wait_for_node(web: str, folder: Path) -> None:
    """Waits until the ResourceManager has a node."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{web}/ws/v1/cluster/metrics", timeout=5) as answer:
                if b'"activeNodes":1,' in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.1)
    logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(folder.glob("*.log")))
    raise TimeoutError(f"YARN has no node within {PATIENCE:.0f} s:\n{logs}")

"""Kills runs on S3 at random moments, runs them again, and compares what they publish with a run that was left alone.

    $(scripts/env pyspark-4) scripts/kill_runs.py --kills 20 [--seed 1] [--reader direct|spark]

The S3 server is moto's, on loopback. Every other run is killed while it publishes, the others at any moment of their life.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.s3_server import CREDENTIALS, S3_CONF, Bucket, s3_jars, s3_server  # noqa: E402  # only now can it be found

TABLES = ("tag_counts", "port_protocol_counts", "rejects", "files")
DAY = "2026-11-22"
PUBLISHING = 3.0  # seconds that publishing takes, about


class Runs:
    """Runs of the job over the bundled sample, copied to a bucket."""

    def __init__(self, address: tuple[str, int], reader: str) -> None:
        jars = ",".join(f"local:{path}" for path in s3_jars().split(","))
        self._reader = reader
        self._environment = os.environ | CREDENTIALS | {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*address),
            "PYSPARK_SUBMIT_ARGS": f"--properties-file {S3_CONF} --jars {jars} pyspark-shell",
        }  # fmt: skip
        self.bucket = Bucket(address)
        sample = ROOT / "tests" / "sample"
        for path in sample.rglob("*.gz"):
            self.bucket.put(str(path.relative_to(sample)), path.read_bytes())
        self.bucket.put("lookup.csv", (sample / "lookup.csv").read_bytes())

    def start(self, output: str) -> subprocess.Popen[bytes]:
        """Starts a run, in a process group of its own: the driver's Python, its JVM, and the workers."""
        places = {"input": "logs", "lookup": "lookup.csv", "output": output}
        flags = [word for name, place in places.items() for word in (f"--{name}", self.bucket.uri(place))]
        return subprocess.Popen(
            [sys.executable, ROOT / "jobs" / "tag_flows.py", *flags, "--interval", DAY, "--reader", self._reader],
            env=self._environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self, output: str) -> float:
        """A run that is left alone; how many seconds it took."""
        begun = time.monotonic()
        run = self.start(output)
        _, errors = run.communicate()
        if run.returncode:
            sys.exit(f"a run that was left alone failed:\n{errors.decode()}")
        return time.monotonic() - begun

    def kill(self, output: str, *, after: float, publishing: bool) -> str:
        """Starts a run and kills it some seconds after its start, or after it began to publish; says how far it was."""
        run = self.start(output)
        claims = f"{output}/_scan/interval={DAY}/claim="
        while publishing and run.poll() is None and not self.bucket.keys(claims):
            time.sleep(0.05)
        time.sleep(after)
        over = run.poll() is not None
        if not over:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return "had ended" if over else "killed while it published" if self.bucket.keys(claims) else "killed"

    def published(self, output: str) -> dict[str, list[bytes]]:
        """The bytes of all part files of the four tables, and how many summaries there are."""
        parts = {
            name: [key for key in self.bucket.keys(f"{output}/{name}/interval={DAY}/") if "/part-" in key]
            for name in (*TABLES, "summary")
        }
        tables: dict[str, list[bytes]] = {name: [self.bucket.get(key) for key in parts[name]] for name in TABLES}
        return tables | {"summaries": [b""] * len(parts["summary"])}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--kills", type=int, default=20)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--reader", default="direct")
    given = flags.parse_args()
    chance = random.Random(given.seed)
    with s3_server() as address:
        runs = Runs(address, given.reader)
        seconds = runs.finish("alone")
        expected = runs.published("alone")
        assert [len(parts) for parts in expected.values()] == [1] * 5, "each result is one part file"
        print(f"a run that is left alone takes {seconds:.1f} s", flush=True)
        for number in range(given.kills):
            publishing = number % 2 == 0
            after = chance.uniform(0, PUBLISHING if publishing else seconds)
            state = runs.kill("killed", after=after, publishing=publishing)
            again = runs.finish("killed")
            same = runs.published("killed") == expected
            verdict = "same bytes" if same else "DIFFERENT"
            print(f"{number + 1:3}  {state} after {after:.1f} s; run again in {again:.1f} s: {verdict}", flush=True)
            if not same:
                sys.exit(1)
        left = runs.bucket.uploads()
        print(f"{given.kills} run(s) killed, all the same when run again; {len(left)} upload(s) left unfinished")


if __name__ == "__main__":
    main()

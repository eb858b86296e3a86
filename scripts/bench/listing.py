"""What finding and packing a million objects costs: seconds, memory, and requests, at a server that makes its listing up.

    scripts/bench/run listing [--objects 1M]

The server speaks as much of S3 as a listing needs, on loopback. The objects lie as AWS delivers them: one day of 200
accounts in 17 regions; and, as the hardest case for the memory, all in a single folder. `find` lists and packs, without
Spark; `plan` also hands the files to the tasks of a session, which count them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import measure
from sizes import sizes

DAY = "2026-11-22"
SHAPES = {"200 accounts x 17 regions": (200, 17), "a single folder": (1, 1)}
_PAGE = 1000
_ROOT = "s3://bucket/logs"
_FOLDERS = ("logs", "AWSLogs", "", "vpcflowlogs", "", *DAY.split("-"))
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class Bucket(ThreadingHTTPServer):
    """A bucket with a number of objects, spread evenly over the folders of a day."""

    def __init__(self, objects: int, accounts: int, regions: int) -> None:
        super().__init__(("127.0.0.1", 0), _Listing)
        self.levels = [[name] for name in _FOLDERS]
        self.levels[2] = [f"{123456789000 + number}" for number in range(accounts)]
        self.levels[4] = [f"eu-west-{number}" for number in range(regions)]
        self.in_each = objects // (accounts * regions)
        self.requests = 0

    @property
    def objects(self) -> int:
        """How many there are."""
        return self.in_each * len(self.levels[2]) * len(self.levels[4])


class _Listing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """ListObjectsV2."""
        self.server.requests += 1
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix = asked.get("prefix", "")
        parts = prefix.split("/")
        depth = len(parts) - 1
        known = all(part in names for part, names in zip(parts[:-1], self.server.levels, strict=False))
        if known and depth == len(self.server.levels):
            body = "".join(self._page(prefix, parts[2], parts[4], int(asked.get("continuation-token", "0"))))
        else:
            names = self.server.levels[depth] if known and depth < len(self.server.levels) and not parts[-1] else []
            found = "".join(f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in names)
            body = f"<IsTruncated>false</IsTruncated>{found}"
        self._answer(f'<?xml version="1.0"?><ListBucketResult {_NAMESPACE}>{body}</ListBucketResult>'.encode())

    def do_HEAD(self) -> None:
        """There is no object that anybody could ask for."""
        self.server.requests += 1
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, prefix: str, account: str, region: str, first: int) -> Iterator[str]:
        end = min(first + _PAGE, self.server.in_each)
        if end < self.server.in_each:
            yield f"<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>"
        else:
            yield "<IsTruncated>false</IsTruncated>"
        for number in range(first, end):
            hour, minute = divmod(number * 1440 // self.server.in_each, 60)
            name = f"{account}_vpcflowlogs_{region}_fl-0123456789abcdef0_20261122T{hour:02}{minute:02}Z_{number:08x}.log.gz"
            changed = f"{DAY}T{hour:02}:{minute:02}:{number % 60:02}.000Z"
            yield (
                f"<Contents><Key>{prefix}{name}</Key><LastModified>{changed}</LastModified>"
                f'<ETag>"{number:032x}"</ETag><Size>{20_000 + number % 7_000}</Size></Contents>'
            )

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def find(out: Path) -> None:
    """Lists and packs; no Spark."""
    from flowspark.decode.sources import split_bytes
    from flowspark.find import find_files
    from flowspark.keys import select
    from flowspark.splits import pack

    found = find_files(None, [_ROOT], "direct", select(DAY, (), (), ()))  # type: ignore[arg-type]  # it has no use for it
    splits = [split_bytes(split) for split in pack(found.files, cores=2)]
    out.write_text(f"{len(found.files)} {len(splits)}")


def plan(out: Path) -> None:
    """Lists, packs, and has the tasks of a session count what they were handed."""
    import pyarrow as pa

    from flowspark.decode.sources import listed_sources
    from flowspark.find import find_files
    from flowspark.keys import select
    from flowspark.scan import splits_frame
    from flowspark.session import spark_session

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([sum(1 for _ in listed_sources(batches))])], names=["files"])

    with spark_session(debug=False) as spark:
        found = find_files(spark, [_ROOT], "direct", select(DAY, (), (), ()))
        counts = splits_frame(spark, found.files).mapInArrow(count, "files long").collect()
    out.write_text(f"{sum(row[0] for row in counts)} {len(counts)}")


def main() -> None:
    """Measures, and prints the table."""
    flags = argparse.ArgumentParser(prog="scripts/bench/run listing", description=__doc__)
    flags.add_argument("--objects", type=sizes, default=[1_000_000])
    flags.add_argument("--cores", type=int, default=2)
    given = flags.parse_args()
    print("\n| objects | lie in | | requests | splits | CPU s | wall s | peak MB |\n|---|---|---|---|---|---|---|---|")
    for objects in given.objects:
        for shape, (accounts, regions) in SHAPES.items():
            for step in ("find", "plan"):
                with Bucket(objects, accounts, regions) as bucket, tempfile.TemporaryDirectory() as folder:
                    threading.Thread(target=bucket.serve_forever, daemon=True).start()
                    out = Path(folder) / "found"
                    environment = {
                        "AWS_ENDPOINT_URL": "http://{}:{}".format(*bucket.server_address),
                        "AWS_ACCESS_KEY_ID": "any",
                        "AWS_SECRET_ACCESS_KEY": "any",
                        "AWS_REGION": "eu-west-1",
                    }
                    command = [sys.executable, __file__, step, str(out)]
                    cost = measure.run(command, cores=given.cores, text="", env=environment)
                    bucket.shutdown()
                    files, splits = map(int, out.read_text().split())
                    if files != bucket.objects:
                        raise SystemExit(f"{files:,} of {bucket.objects:,} objects were found")
                    cells = (f"{files:,}", shape, step, f"{bucket.requests:,}", f"{splits:,}", f"{cost.cpu:.1f}",
                             f"{cost.wall:.1f}", f"{cost.peak:.0f}")  # fmt: skip
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["find"], ["plan"]):
        {"find": find, "plan": plan}[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()

"""Made-up flow logs for the benchmark: from a seed, in a folder outside the checkout, each folder made once.

The values repeat as those of a real network do (few interfaces, many peers, busy services), so that gzip packs them about
as well: a default-format record is about 117 bytes of text and 27 of gzip. Beside the logs lies `truth.json`, what there is
to count.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from flowspark.fields import fields_of_version

SEED = 20261122
MILLION = 1_000_000
_DAY = 1795305600  # 2026-11-22T00:00:00Z
_HOSTS = 96
_CHUNK = 100_000  # records in memory at once
_BAD = ("short", "number", "status", "range")

Rows = list[list[str]]


@dataclass(frozen=True)
class Case:
    """One kind of log files: their fields, how they are packed, and what is odd about their lines."""

    layout: tuple[str, ...]
    gzipped: bool = True
    per_file: int = MILLION
    end: str = "\n"
    bad: float = 0.0


V2 = fields_of_version(2)
V5 = tuple(np.random.default_rng(SEED).permutation(fields_of_version(5)).tolist())
V11 = fields_of_version(11)

CASES = {
    "v2-gz": Case(V2),
    "v2-text": Case(V2, gzipped=False),
    "v5-gz": Case(V5),
    "v5-text": Case(V5, gzipped=False),
    "v11-gz": Case(V11),
    "v11-text": Case(V11, gzipped=False),
    "bad": Case(V2, bad=0.01),
    "crlf": Case(V2, end="\r\n"),
    "blank": Case(V2, end=" \n"),
    "small": Case(V2, per_file=5_000),
    "tiny": Case(V2, per_file=100),
    "one-text": Case(V2, gzipped=False, per_file=1 << 62),
    "one-gz": Case(V2, per_file=1 << 62),
    "all-bad": Case(V2, per_file=1 << 62, bad=1.0),
}
"""The cases by name; one-* and all-bad are a single file, whatever the number of records."""


def make(folder: Path, name: str, records: int) -> Path:
    """The folder with the logs of a case, made if it is not there."""
    place = folder / f"{name}-{records}"
    if (place / "truth.json").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    (place / "logs").mkdir(parents=True)
    case = CASES[name]
    sizes = [min(case.per_file, records - first) for first in range(0, records, case.per_file)]
    truth: Counter[tuple[int, int]] = Counter()
    with ProcessPoolExecutor() as pool:
        many = len(sizes)
        for counts in pool.map(_write, [place] * many, [name] * many, range(many), sizes, chunksize=max(1, many // 64)):
            truth.update(counts)
    rows = sorted([port, protocol, flows] for (port, protocol), flows in truth.items())
    (place / "truth.json").write_text(json.dumps(rows))
    return place


def _write(place: Path, name: str, number: int, records: int) -> Counter[tuple[int, int]]:
    """Writes one file, and returns the flows of each dstport and protocol in it."""
    case = CASES[name]
    draw = np.random.default_rng([SEED, number])
    truth: Counter[tuple[int, int]] = Counter()
    path = place / "logs" / f"{number:06}.log{'.gz' if case.gzipped else ''}"
    with path.open("wb") as out:
        out.write(_packed(case, (" ".join(case.layout) + case.end).encode()))
        times = records // MILLION if case.per_file > MILLION else 0
        if times:  # one large file: the same million records again and again, as members of their own where it is gzip
            counts: Counter[tuple[int, int]] = Counter()
            million = _packed(case, b"".join(_lines(draw, case, _CHUNK, counts) for _ in range(MILLION // _CHUNK)))
            truth.update({key: times * flows for key, flows in counts.items()})
            for _ in range(times):
                out.write(million)
        left = records - times * MILLION
        out.write(_packed(case, b"".join(_lines(draw, case, min(_CHUNK, left - n), truth) for n in range(0, left, _CHUNK))))
    return truth


def _packed(case: Case, data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0) if case.gzipped and data else data


def _lines(draw: np.random.Generator, case: Case, count: int, truth: Counter[tuple[int, int]]) -> bytes:
    values = _values(draw, count)
    nodata = draw.random(count) < 0.005
    bad = draw.random(count) < case.bad
    good = ~nodata & ~bad
    keys = np.array(values["dstport"], np.int64) << 8 | np.array(values["protocol"], np.int64)
    found, flows = np.unique(keys[good], return_counts=True)
    truth.update(dict(zip(((key >> 8, key & 255) for key in found.tolist()), flows.tolist(), strict=True)))
    rows = [list(row) for row in zip(*(values[name] for name in case.layout), strict=True)]
    _without_data(rows, np.flatnonzero(nodata & ~bad).tolist(), case.layout)
    for row in np.flatnonzero(bad).tolist():
        _spoil(rows[row], _BAD[row % len(_BAD)], case.layout)
    return "".join(" ".join(row) + case.end for row in rows).encode()


def _without_data(rows: Rows, places: list[int], layout: tuple[str, ...]) -> None:
    kept = {
        "version",
        "account-id",
        "interface-id",
        "start",
        "end",
        "vpc-id",
        "subnet-id",
        "instance-id",
        "region",
        "az-id",
    }
    for place in places:
        rows[place] = [value if name in kept else "-" for name, value in zip(layout, rows[place], strict=True)]
        rows[place][layout.index("log-status")] = "NODATA"


def _spoil(row: list[str], how: str, layout: tuple[str, ...]) -> None:
    if how == "short":
        del row[-2:]
    elif how == "number":
        row[layout.index("protocol")] = "tcp"
    elif how == "status":
        row[layout.index("log-status")] = "OKAY"
    else:
        row[layout.index("dstport")] = "70000"


@cache
def _network() -> tuple[list[str], dict[str, list[str]]]:
    """The addresses of the peers, and what each host has in some fields; the same in every file."""
    draw = np.random.default_rng(SEED)
    peers = [".".join(map(str, draw.integers(1, 256, size=4))) for _ in range(3000)]
    task = [f"{draw.integers(1 << 62):016x}" for _ in range(_HOSTS)]
    arn = "arn:aws:ecs:eu-west-1:123456789010"

    def identities(kind: str, many: int) -> list[str]:
        return [f"{kind}-0{draw.integers(1 << 60):016x}" for _ in range(many)]

    return peers, {
        "interface-id": identities("eni", _HOSTS),
        "vpc-id": identities("vpc", 2) * (_HOSTS // 2),
        "subnet-id": identities("subnet", 4) * (_HOSTS // 4),
        "instance-id": identities("i", _HOSTS),
        "ecs-cluster-arn": [f"{arn}:cluster/shop"] * _HOSTS,
        "ecs-cluster-name": ["shop"] * _HOSTS,
        "ecs-container-instance-arn": ["-"] * _HOSTS,
        "ecs-container-id": [f"{t}-{n:010}" for n, t in enumerate(task)],
        "ecs-service-name": ["checkout", "catalogue", "search"] * (_HOSTS // 3),
        "ecs-task-definition-arn": [f"{arn}:task-definition/shop:{n % 3}" for n in range(_HOSTS)],
        "ecs-task-arn": [f"{arn}:task/shop/{t}" for t in task],
        "ecs-task-id": task,
        "instance-tag": ["team%3Dshop", "team%3Dsearch"] * (_HOSTS // 2),
        "next-hop-interface-id": identities("eni", 4) * (_HOSTS // 4),
    }


def _values(draw: np.random.Generator, count: int) -> dict[str, list[str]]:
    """The values of every field of version 11, for some records."""
    peers, by_host = _network()

    def pick(pool: list[str], places: np.ndarray) -> list[str]:
        return [pool[place] for place in places.tolist()]

    def choose(*pool: str) -> list[str]:
        return pick(list(pool), draw.integers(len(pool), size=count))

    host = draw.integers(_HOSTS, size=count)
    inward = draw.random(count) < 0.5
    own_address = pick([f"172.31.{n % 4 * 16}.{n * 7 % 250}" for n in range(_HOSTS)], host)
    peer_address = pick(peers, (draw.random(count) ** 3 * len(peers)).astype(int))
    service = draw.choice([443, 443, 443, 80, 53, 53, 22, 5432, 3306, 6379, 8080, 25, 123, 9092, 2049, 389], size=count)
    client = draw.integers(32768, 61000, size=count)
    icmp = draw.random(count) < 0.01
    protocol = np.where(icmp, 1, np.where(np.isin(service, (53, 123)), 17, 6))
    client[icmp] = service[icmp] = 0
    packets = (1 + draw.random(count) ** 2 * 2000).astype(int)
    start = _DAY + draw.integers(300, size=count)
    service_name, zone = choose("-", "-", "-", "S3", "DYNAMODB"), pick(["euw1-az1", "euw1-az2"], host % 2)

    def swap(a: list[str], b: list[str]) -> list[str]:
        return [x if inbound else y for x, y, inbound in zip(a, b, inward.tolist(), strict=True)]

    columns = {name: pick(pool, host) for name, pool in by_host.items()}
    columns |= {
        "version": ["2"] * count,
        "account-id": ["123456789010"] * count,
        "srcaddr": swap(peer_address, own_address),
        "dstaddr": swap(own_address, peer_address),
        "srcport": list(map(str, np.where(inward, client, service).tolist())),
        "dstport": list(map(str, np.where(inward, service, client).tolist())),
        "protocol": list(map(str, protocol.tolist())),
        "packets": list(map(str, packets.tolist())),
        "bytes": list(map(str, (packets * draw.integers(40, 1400, size=count)).tolist())),
        "start": list(map(str, start.tolist())),
        "end": list(map(str, (start + 60).tolist())),
        "action": pick(["ACCEPT", "REJECT"], (draw.random(count) < 0.04).astype(int)),
        "log-status": ["OK"] * count,
        "tcp-flags": choose("2", "3", "18", "19", "0"),
        "type": ["IPv4"] * count,
        "region": ["eu-west-1"] * count,
        "az-id": zone,
        "pkt-src-aws-service": service_name,
        "flow-direction": swap(["ingress"] * count, ["egress"] * count),
        "traffic-path": choose("-", "-", "1", "8"),
        "interface-type": ["vpc_endpoint"] * count,
    }
    columns |= {"pkt-srcaddr": columns["srcaddr"], "pkt-dstaddr": columns["dstaddr"]}
    return {name: columns.get(name, ["-"] * count) for name in V11}


def files(place: Path) -> Iterator[Path]:
    """The log files of a folder that was made."""
    yield from sorted((place / "logs").iterdir())

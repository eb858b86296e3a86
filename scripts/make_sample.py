"""Makes the bundled sample again, from a seed: `python scripts/make_sample.py [FOLDER]` (default tests/sample).

Some thousands of made-up records in the layouts that one bucket may hold side by side: the default format, a custom
order of version 5, one with ECS fields, a Transit Gateway log; with NODATA, SKIPDATA and a handful of bad lines.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from collections.abc import Callable
from pathlib import Path

ACCOUNT, REGION = "123456789010", "eu-west-1"
DAY = 1795305600  # 2026-11-22T00:00:00Z
TAGS = {
    "web": "80 tcp, 443 tcp, 443 udp, 8080 tcp, 8443 tcp",
    "dns": "53 tcp, 53 udp, 853 tcp",
    "ssh": "22 tcp",
    "rdp": "3389 tcp, 3389 udp",
    "mail": "25 tcp, 110 tcp, 143 tcp, 465 tcp, 587 tcp, 993 tcp, 995 tcp",
    "directory": "88 tcp, 88 udp, 389 tcp, 389 udp, 464 tcp, 636 tcp, 3268 tcp, 3269 tcp",
    "file-share": "111 tcp, 139 tcp, 445 tcp, 2049 tcp, 2049 udp",
    "file-transfer": "20 tcp, 21 tcp, 69 udp, 989 tcp, 990 tcp",
    "database": "1433 tcp, 1521 tcp, 3306 tcp, 5432 tcp, 5439 tcp, 27017 tcp",
    "cache": "6379 tcp, 11211 tcp",
    "queue": "5671 tcp, 5672 tcp, 9092 tcp, 9094 tcp, 61617 tcp",
    "search": "9200 tcp, 9300 tcp",
    "monitoring": "161 udp, 162 udp, 514 udp, 6514 tcp, 9090 tcp, 9100 tcp",
    "time": "123 udp",
    "vpn": "500 udp, 4500 udp, 1194 udp, 51820 udp, 0 esp, 0 gre",
    "ping": "0 icmp, 0 ipv6-icmp",
    "clear-text": "23 tcp, 21 tcp, 80 tcp",
    "kubernetes": "2379 tcp, 2380 tcp, 6443 tcp, 10250 tcp",
}
V2 = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
CUSTOM_V5 = (
    "log-status flow-direction dstport srcport protocol srcaddr dstaddr pkt-dst-aws-service bytes packets start end "
    "tcp-flags vpc-id traffic-path action"
)
ECS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol ecs-cluster-name ecs-service-name "
    "ecs-task-id packets bytes start end action log-status"
)
TGW = (
    "version resource-type account-id tgw-id tgw-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end log-status packets-lost-no-route"
)


def services() -> list[tuple[int, str, str]]:
    """dstport, protocol and tag of each row of the lookup."""
    rows = []
    for tag, keys in TAGS.items():
        for key in keys.split(", "):
            port, protocol = key.split()
            rows.append((int(port), protocol, tag))
    return rows


def record(draw: random.Random, layout: str) -> str:
    """A made-up record of a layout."""
    services_seen = [443, 443, 443, 80, 53, 53, 22, 5432, 3306, 6379, 8080, 25, 123, 9092, 2049, 389, 3389, 23]
    protocol, port = 6, draw.choice(services_seen) if draw.random() < 0.6 else draw.randrange(1024, 65536)
    if port in (53, 123) or draw.random() < 0.05:
        protocol = 17
    if draw.random() < 0.02:
        protocol, port = draw.choice([1, 58, 50, 47]), 0
    packets, start = draw.randrange(1, 400), DAY + draw.randrange(86_400)
    values = {
        "version": {CUSTOM_V5: "5", ECS: "7", TGW: "6"}.get(layout, "2"),
        "account-id": ACCOUNT,
        "interface-id": f"eni-{draw.getrandbits(20):017x}",
        "srcaddr": f"10.{draw.randrange(4)}.{draw.randrange(256)}.{draw.randrange(256)}",
        "dstaddr": f"10.{draw.randrange(4)}.{draw.randrange(256)}.{draw.randrange(256)}",
        "srcport": "0" if port == 0 else str(draw.randrange(1024, 65536)),
        "dstport": str(port),
        "protocol": str(protocol),
        "packets": str(packets),
        "bytes": str(packets * draw.randrange(40, 1500)),
        "start": str(start),
        "end": str(start + 60),
        "action": "ACCEPT" if draw.random() < 0.93 else "REJECT",
        "log-status": "OK",
        "tcp-flags": draw.choice(["0", "2", "3", "18", "19"]),
        "flow-direction": draw.choice(["ingress", "egress"]),
        "vpc-id": "vpc-0a1b2c3d4e5f60718",
        "traffic-path": draw.choice(["-", "1", "8"]),
        "pkt-dst-aws-service": draw.choice(["-", "-", "S3", "DYNAMODB"]),
        "ecs-cluster-name": "shop",
        "ecs-service-name": draw.choice(["checkout", "catalogue"]),
        "ecs-task-id": f"{draw.getrandbits(64):016x}",
        "resource-type": "TransitGateway",
        "tgw-id": "tgw-0123456789abcdef0",
        "tgw-attachment-id": "tgw-attach-0123456789abcdef0",
        "packets-lost-no-route": "0",
    }
    return " ".join(values[name] for name in layout.split())


def without_traffic(draw: random.Random, layout: str, status: str) -> str:
    """A NODATA or SKIPDATA record: what speaks of traffic is missing."""
    kept = {"version", "account-id", "interface-id", "start", "end", "vpc-id", "resource-type", "tgw-id"}
    values = zip(layout.split(), record(draw, layout).split(), strict=True)
    return " ".join(status if name == "log-status" else value if name in kept else "-" for name, value in values)


def lines(draw: random.Random, layout: str, count: int) -> list[str]:
    """A header and records, about one in a hundred of them without data."""
    rows = [layout]
    for _ in range(count):
        rows.append(without_traffic(draw, layout, "NODATA") if draw.random() < 0.01 else record(draw, layout))
    return rows


def write(folder: Path, flow_log: str, time: str, rows: list[str]) -> None:
    """A log file, named and packed as AWS does it."""
    key = f"AWSLogs/{ACCOUNT}/vpcflowlogs/{REGION}/2026/11/22"
    name = f"{ACCOUNT}_vpcflowlogs_{REGION}_{flow_log}_20261122T{time}Z_{abs(hash_of(rows)):08x}.log.gz"
    path = folder / "logs" / key / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{row}\n" for row in rows).encode(), mtime=0))


def hash_of(rows: list[str]) -> int:
    """A number that stays the same from run to run, unlike `hash`."""
    return random.Random("\n".join(rows)).getrandbits(32)


def edit(rows: list[str], place: int, change: Callable[[str], str]) -> None:
    """Spoils one line."""
    rows[place] = change(rows[place])


def main(folder: Path) -> None:
    """Writes the logs and the lookup."""
    draw = random.Random(20261122)
    for hour in range(3):
        rows = lines(draw, V2, 1200)
        rows[500 + hour] = without_traffic(draw, V2, "SKIPDATA")
        if hour == 1:
            edit(rows, 100, lambda row: row.rsplit(" ", 2)[0])
            edit(rows, 200, lambda row: row.replace(" 6 ", " tcp ", 1))
            edit(rows, 300, lambda row: row.replace(" OK", " OKAY"))
        write(folder, "fl-0default00000000a", f"{hour:02}15", rows)
    rows = lines(draw, CUSTOM_V5, 1500)
    rows[700] = record(draw, CUSTOM_V5).replace("OK ingress", "OK ingress 443").replace("OK egress", "OK egress 443")
    write(folder, "fl-0customv50000000b", "0520", rows)
    write(folder, "fl-0ecsfields000000c", "0525", lines(draw, ECS, 800))
    write(folder, "fl-0transitgw000000d", "0530", lines(draw, TGW, 600))
    with (folder / "lookup.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["dstport", "protocol", "tag"])
        table.writerows(services())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests" / "sample")

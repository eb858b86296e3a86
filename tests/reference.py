"""The obvious way: one line after the other, in plain Python; of flowspark it takes the table of fields alone."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).parent.parent / "flowspark" / "data" / "fields.csv"
TYPES = {row["field"]: row["type"] for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())}
V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
).split()
TGW = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
    "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
    "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status "
    "type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags "
    "region flow-direction pkt-src-aws-service pkt-dst-aws-service"
).split()
LIMITS = {"srcport": (0, 65535), "dstport": (0, 65535), "protocol": (0, 255)}
TYPE_LIMITS = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class Bad(Exception):
    """The file cannot be read to its end, or is no flow log."""


@dataclass
class Reading:
    """What one file comes to."""

    lines: int = 0
    header: int = 0
    blank: int = 0
    nodata: int = 0
    skipdata: int = 0
    flows: Counter = field(default_factory=Counter)
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    records: list[dict] = field(default_factory=list)

    @property
    def audit(self) -> tuple[int, ...]:
        flows = sum(self.flows.values())
        return self.lines, self.header, self.blank, flows, self.nodata, self.skipdata, len(self.rejects)


def read(data: bytes, given: list[str] | None = None, columns: tuple[str, ...] = ()) -> Reading:
    """Reads a whole file; `columns` are the fields that are read beside dstport, protocol and log-status."""
    out = Reading()
    layout: list[str] | None = None
    for number, (line, text) in enumerate(split_lines(unpack(data)), 1):
        if len(line) > 1 << 20:
            raise Bad("long line")
        out.lines = number
        values = [value for value in re.split(rb"[ \t]+", line) if value]
        if not values:
            out.blank += 1
            continue
        if is_header(values):
            out.header += 1
            layout = [value.decode() for value in values]
        elif layout is None:
            layout = given or default(values)
        if not layout or ("log-status" not in layout and not {"dstport", "protocol"} <= set(layout)):
            raise Bad("no layout")
        if " ".join(layout) not in out.layouts:
            out.layouts.append(" ".join(layout))
        if not is_header(values):
            record(out, number, values, text, layout, columns)
    if out.layouts and not out.header and not sum(out.flows.values()) + out.nodata + out.skipdata:
        raise Bad("not a flow log")
    return out


def unpack(data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise Bad("gzip") from error
    return data.removeprefix(b"\xef\xbb\xbf")


def split_lines(data: bytes) -> list[tuple[bytes, str]]:
    lines = data.split(b"\n")
    last = lines.pop()
    lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    if last:
        lines.append(last)
    return [(line, line.decode("utf-8", "replace")[:1000]) for line in lines]


def is_header(values: list[bytes]) -> bool:
    names = [value.decode("latin-1") for value in values]
    all_are_names = all(re.fullmatch("[a-z][a-z0-9-]*", name) for name in names)
    return all_are_names and len(set(names) & set(TYPES)) > len(names) / 2


def default(values: list[bytes]) -> list[str] | None:
    for layout, version in ((V2, b"2"), (TGW, b"6")):
        if len(values) == len(layout) and values[0] == version:
            return layout if values[layout.index("log-status")] in (b"OK", b"NODATA", b"SKIPDATA") else None
    return None


def record(out: Reading, number: int, values: list[bytes], text: str, layout: list[str], columns: tuple[str, ...]) -> None:
    if len(values) != len(layout):
        out.rejects.append((number, "field_count", text))
        return
    row = {name: values[layout.index(name)] for name in layout}  # of a field that is repeated, the first column counts
    status = row.get("log-status", b"-")
    if status not in (b"OK", b"NODATA", b"SKIPDATA", b"-"):
        out.rejects.append((number, "bad_log_status", text))
        return
    numbers, reasons = {}, set()
    for name in {"dstport", "protocol", *columns} & set(layout):
        if TYPES.get(name) not in TYPE_LIMITS or row[name] == b"-":
            continue
        low, high = LIMITS.get(name, TYPE_LIMITS[TYPES[name]])
        if not re.fullmatch(rb"-?[0-9]+", row[name]):
            reasons.add("bad_number")
        elif (len(row[name]) > 4000 and row[name].lstrip(b"-0") != b"") or not low <= int(row[name][:4000]) <= high:
            reasons.add("out_of_range")
        else:
            numbers[name] = int(row[name][:4000])
    if reasons:
        out.rejects.append((number, min(reasons), text))
        return
    key = numbers.get("dstport"), numbers.get("protocol")
    if status == b"NODATA" or (status == b"-" and None in key):
        out.nodata += 1
    elif status == b"SKIPDATA":
        out.skipdata += 1
    else:
        out.flows[key] += 1
    texts = {name: None if value == b"-" else value.decode("utf-8", "replace") for name, value in row.items()}
    known = {name: text for name, text in texts.items() if name in columns}
    unknown = [(name, text) for name, text in texts.items() if name not in TYPES] or None
    read = {name: numbers[name] for name in columns if name in numbers}
    out.records.append({"line": number, "unknown_fields": unknown} | known | read)

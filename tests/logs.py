"""A small writer of flow-log files that reads well in a test's text."""

from __future__ import annotations

import gzip
from pathlib import Path

V2 = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"


def flow(dstport: object = 443, protocol: object = 6, status: str = "OK", action: str = "ACCEPT") -> str:
    """A record in the default format."""
    return (
        f"2 123456789010 eni-0a1b2c3d 10.0.0.1 10.0.0.2 49152 {dstport} {protocol} 10 840 1700000000 1700000060 "
        f"{action} {status}"
    )


NODATA = "2 123456789010 eni-0a1b2c3d - - - - - - - 1700000000 1700000060 - NODATA"
SKIPDATA = "2 123456789010 eni-0a1b2c3d - - - - - - - 1700000000 1700000060 - SKIPDATA"


def log(*lines: str, header: str | None = V2, end: str = "\n") -> bytes:
    """The bytes of a log file: a header, unless it is None, and the lines."""
    return "".join(line + end for line in ([header] if header else []) + list(lines)).encode()


def write(path: Path, content: bytes, *, compress: bool = False) -> Path:
    """Writes a file, with the folders that it needs; one that is there already keeps its time."""
    content = gzip.compress(content, mtime=0) if compress else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    return path

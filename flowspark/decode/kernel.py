"""Picks the decoder for this machine: the compiled kernel (kernel.c) where an object fits, else the plain rules (rules.py).

scripts/build_kernel.py makes the objects, each of some kilobytes, beside this file. They use no library, so they fit any
Linux of their processor, and any Python and numpy.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import sys
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from flowspark.decode.arrays import PORTS, PROTOCOLS, Arrays, Bytes, Counts, Decoder, Ints
from flowspark.decode.blocks import Block
from flowspark.decode.rules import PYTHON

log = logging.getLogger(__name__)

_V3 = {"avx2", "bmi1", "bmi2", "fma", "abm", "movbe", "f16c"}  # of x86-64-v3, in the words of Linux
_CPUINFO = Path("/proc/cpuinfo")

# Odd lines for a check of the object: blanks, CRLF, numbers at their limits and beyond, statuses, a header in between
_LAYOUT = ("bytes", "protocol", "action", "dstport", "log-status")
_LINES = b"""1 6 ACCEPT 443 OK
\t 9223372036854775807  255 \xc3\xa9 00065535 OK \r
-9223372036854775808 - - - -

9223372036854775808 6 x 443 OK
1 6 a-text-of-more-than-sixteen-bytes 123456789 OK
12345678 17 REJECT 53 NODATA
 \r
1 0x6 x 4 OK
1 6 x 443 ok
- 1 x 0 SKIPDATA
- - x 80 -
1 6 x 443
dstport protocol action
1 6 x 22 OK"""


@cache
def decoder() -> Decoder:
    """The decoder of this process."""
    return choose()


def choose() -> Decoder:
    """The compiled decoder if there is an object for this machine that keeps the rules, else the plain one."""
    name = object_name()
    if not files("flowspark.decode").joinpath(name).is_file():
        return PYTHON
    try:
        compiled = load(name)
    except OSError as error:
        log.warning("the compiled decoder cannot be loaded, and plain Python takes its place: %s", error)
        return PYTHON
    except StaleObject:
        log.warning("plain Python takes the place of %s, which is not that of kernel.c: run scripts/env", name)
        return PYTHON
    if _outcome(compiled) != _outcome(PYTHON):
        log.warning("the compiled decoder %s does not keep the rules on this machine; plain Python takes its place", name)
        return PYTHON
    return compiled


def object_name() -> str:
    """The name of the object for this machine. It need not exist."""
    machine = platform.machine().lower()
    level = ""
    if machine in ("x86_64", "amd64"):
        machine, level = "x86_64", "-v3" if _has_v3() else "-v2"
    return f"kernel-{sys.platform}-{machine}{level}.so"


def _has_v3() -> bool:
    if not _CPUINFO.exists():
        return False
    with _CPUINFO.open() as lines:
        flags = next((line for line in lines if line.startswith("flags")), "")
    return set(flags.split()) >= _V3


class StaleObject(Exception):
    """An object that was compiled from another text than the kernel.c beside it."""


def load(name: str) -> Decoder:
    """The compiled decoder in an object beside this file.

    Raises:
        OSError: the object cannot be loaded.
        StaleObject: it was compiled from another kernel.c.
    """
    library = _library(name)
    source = hashlib.sha256(files("flowspark.decode").joinpath("kernel.c").read_bytes()).digest()
    if ctypes.c_uint64.in_dll(library, "flowspark_source").value != int.from_bytes(source[:8], "big"):
        raise StaleObject
    address, long = ctypes.c_void_p, ctypes.c_int64
    for function, arguments in {
        "tokens": (address, long, long, long),
        "evaluate": (address, long, long),
        "count": (address, long, address, address),
        "texts": (address, long, address, address, address),
    }.items():
        getattr(library, f"flowspark_{function}").argtypes = arguments
        getattr(library, f"flowspark_{function}").restype = None if function == "count" else long

    def tokens(arrays: Arrays, block: Block) -> int:
        return int(library.flowspark_tokens(ctypes.addressof(arrays.work), *block))

    def evaluate(arrays: Arrays, line: int, last: int) -> int:
        return int(library.flowspark_evaluate(ctypes.addressof(arrays.work), line, last))

    def count(keys: Ints, table: Counts, seen: Bytes) -> None:
        library.flowspark_count(keys.ctypes.data, len(keys), table.ctypes.data, seen.ctypes.data)

    def texts(arrays: Arrays, place: int, edges: Ints, valid: Bytes) -> int:
        written = edges.ctypes.data, valid.ctypes.data, arrays.texts.ctypes.data
        return int(library.flowspark_texts(ctypes.addressof(arrays.work), place, *written))

    return Decoder("compiled", tokens, evaluate, count, texts)


def _library(name: str) -> Any:
    place = files("flowspark.decode").joinpath(name)
    if not isinstance(place, Path) and hasattr(os, "memfd_create"):  # in a zip: the temporary folder may forbid programs
        with os.fdopen(os.memfd_create(name), "wb", buffering=0) as file:
            file.write(place.read_bytes())
            return ctypes.CDLL(f"/proc/self/fd/{file.fileno()}")
    with as_file(place) as path:
        return ctypes.CDLL(str(path))


def _outcome(decoder: Decoder) -> list[object]:
    """All that a decoder makes of the odd lines."""
    arrays = Arrays(decoder, rows=32, rejects=8)
    arrays.use(_LAYOUT, frozenset(["bytes"]))
    arrays.memory[: len(_LINES) + 1] = _LINES + b"\n"
    work, line = arrays.work, 0
    lines = arrays.take(Block(0, len(_LINES) + 1, True))
    firsts = arrays.firsts[: lines + 1].tolist()
    found: list[object] = [arrays.feeds[: lines + 1].tolist(), firsts, arrays.ends[: firsts[-1]].tolist()]
    while line < lines:
        line = arrays.evaluate(line)
        found += [line, work.may_be_header, work.blank, work.nodata, work.skipdata]
    found += [side[:, : work.rows].tolist() for side in (arrays.values, arrays.missing)]
    found += [arrays.lines[: work.rows].tolist(), arrays.rejected[: work.rejects].tolist()]
    for place in range(len(_LAYOUT)):
        edges, valid = np.empty(work.rows + 1, np.int32), np.zeros(work.rows // 8 + 1, np.uint8)
        other = decoder.texts(arrays, place, edges, valid)
        written = arrays.texts[: edges[-1]].tobytes()
        found += [bool(other) or written.isascii(), edges.tolist(), valid.tolist(), written]
    table, seen = np.zeros(PROTOCOLS * PORTS, np.uint32), np.zeros(PROTOCOLS, np.uint8)
    keys = arrays.keys[: work.flows]
    decoder.count(keys, table, seen)
    return [*found, keys.tolist(), table[keys].tolist(), np.flatnonzero(seen).tolist()]

"""Runs a compiled kernel on arrays that lie beside memory that nobody may touch: one byte too many ends the process.

    python -m tests.guard_pages OBJECT FILES SEED

The arrays are as small as `struct work` in kernel.c allows. By turns, they end and begin at such memory. With `--trespass`
in place of FILES and SEED, one byte too many is written, to see that the process ends.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import sys

import numpy as np
from numpy.typing import DTypeLike

from flowspark.decode import kernel
from flowspark.decode.arrays import PORTS, PROTOCOLS, Arrays
from flowspark.decode.blocks import SLACK, Block
from tests.strategies import LAYOUTS
from tests.unit.test_fuzz import WANTED, made_texts, mutated

PAGE = mmap.PAGESIZE
LONGEST = 15_000  # bytes of a text
ARRAYS = ("data", "ends", "feeds", "firsts", "plan", "values", "missing", "lines", "keys", "rejected")
_libc = ctypes.CDLL(None)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Region:
    """Memory between two pages that nobody may touch."""

    def __init__(self, size: int) -> None:
        size = -(-size // PAGE) * PAGE
        self._whole = np.frombuffer(mmap.mmap(-1, size + 2 * PAGE), np.uint8)
        for page in (0, size + PAGE):
            assert _libc.mprotect(self._whole.ctypes.data + page, PAGE, 0) == 0
        self._inside = self._whole[PAGE : PAGE + size]

    def array(self, length: int, kind: DTypeLike, *, at_end: bool) -> np.ndarray:
        """An array whose last byte, or else whose first, has such memory beside it."""
        size = length * np.dtype(kind).itemsize
        assert size <= len(self._inside)
        return (self._inside[len(self._inside) - size :] if at_end else self._inside[:size]).view(kind)


class Guarded:
    """The arrays of a task, each in a region of its own."""

    def __init__(self) -> None:
        self._regions = {name: Region(8 * (LONGEST + 100)) for name in (*ARRAYS, "edges", "valid", "texts", "counted")}
        self._regions |= {"table": Region(4 * PORTS * PROTOCOLS), "seen": Region(PROTOCOLS)}
        self._arrays = Arrays(kernel.load(sys.argv[1]))
        self._at_end = True

    def check(self, text: bytes, layout: tuple[str, ...], rows: int, *, at_end: bool) -> None:
        """Runs the functions on one text."""
        self._at_end = at_end
        arrays, data = self._arrays, text if text.endswith(b"\n") else text + b"\n"
        arrays.use(None)
        arrays.use(layout, WANTED)
        plan, columns, size = arrays.plan.ravel().copy(), len(arrays.numbers), len(data)
        self._share("data", size + SLACK, np.uint8)[:size] = np.frombuffer(data, np.uint8)
        self._share("plan", len(plan), np.int64)[:] = plan
        for name, length in {"ends": size // 2 + 8, "feeds": size + 1, "firsts": size + 1}.items():
            self._share(name, length, np.int32)
        for name, length in {"lines": rows, "keys": rows, "rejected": 2 * rows}.items():
            self._share(name, length, np.int32)
        self._share("values", columns * rows, np.int64)
        self._share("missing", columns * rows, np.uint8)
        arrays.work.most_rows = arrays.work.most_rejects = rows
        arrays.take(Block(0, size, data != text))
        line = 0
        while line < arrays.count:
            arrays.clear()
            line = arrays.evaluate(line)
            for place in range(len(layout) if arrays.work.rows else 0):
                self._check_texts(place)

    def check_count(self, keys: list[int], *, at_end: bool) -> None:
        """Counts keys, such as the lowest and the highest."""
        self._at_end = at_end
        counted = self._array("counted", len(keys), np.int32)
        counted[:] = keys
        table, seen = self._array("table", PORTS * PROTOCOLS, np.uint32), self._array("seen", PROTOCOLS, np.uint8)
        self._arrays.decoder.count(counted, table, seen)

    def _check_texts(self, place: int) -> None:
        arrays, rows = self._arrays, self._arrays.work.rows
        edges, valid = self._array("edges", rows + 1, np.int32), self._array("valid", -(-rows // 8), np.uint8)
        arrays.texts = np.empty(LONGEST + 15, np.uint8)
        arrays.decoder.texts(arrays, place, edges, valid)
        arrays.texts = self._array("texts", int(edges[rows]) + 15, np.uint8)
        arrays.decoder.texts(arrays, place, edges, valid)

    def _array(self, name: str, length: int, kind: DTypeLike) -> np.ndarray:
        return self._regions[name].array(length, kind, at_end=self._at_end)

    def _share(self, name: str, length: int, kind: DTypeLike) -> np.ndarray:
        made = self._array(name, length, kind)
        setattr(self._arrays, name, made)
        setattr(self._arrays.work, name, made.ctypes.data)
        return made


def trespass() -> None:
    """Writes a region full, and then one byte more."""
    region = Region(PAGE)
    address = region.array(PAGE, np.uint8, at_end=True).ctypes.data
    ctypes.memset(address, 1, PAGE)
    print("inside", flush=True)
    ctypes.memset(address + PAGE, 1, 1)
    print("outside")


def main() -> None:
    """Tries many texts."""
    if sys.argv[2] == "--trespass":
        trespass()
        return
    files, seed = map(int, sys.argv[2:])
    made, draw, guarded = made_texts(seed), random.Random(seed), Guarded()
    for number in range(files):
        text = mutated(draw, draw.choice(made))[: LONGEST - 1]
        layout, rows = tuple(draw.choice(LAYOUTS)), draw.choice([1, 2, 40])
        guarded.check(text, layout, rows, at_end=number % 2 == 0)
    for at_end in (True, False):
        guarded.check_count([0, PORTS * PROTOCOLS - 1] * 3, at_end=at_end)
    print("inside")


if __name__ == "__main__":
    main()

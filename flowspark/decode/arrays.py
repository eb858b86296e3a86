"""The arrays of a task. They are made once; the decoder reads and fills them, for one block of one file after the other."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowspark.decode.blocks import ROOM, SLACK, Block
from flowspark.fields import FIELDS
from flowspark.layouts import Layout

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.uint32]

PORTS, PROTOCOLS = 65537, 257
"""How many dstports and protocols there are, a missing one among them."""

NO_PORT, NO_PROTOCOL = PORTS - 1, PROTOCOLS - 1
"""What stands for a missing dstport and a missing protocol: the first number that a real one cannot have."""

_ROWS, _REJECTS = 1 << 14, 1000  # what is handed over at once, at most


class Work(ctypes.Structure):
    """What the decoder's functions share: `struct work` of kernel.c, which explains each member, in the same order."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("data", "ends", "feeds", "firsts")),
        *((name, ctypes.c_void_p) for name in ("plan", "values", "missing", "lines", "keys", "rejected")),
        *((name, ctypes.c_int64) for name in ("most_rows", "most_rejects", "columns", "fields", "status")),
        *((name, ctypes.c_int64) for name in ("rows", "flows", "nodata", "skipdata", "blank", "rejects")),
        ("may_be_header", ctypes.c_int64),
    )


class Arrays:
    """The arrays of a task, and what of the current layout is read into them.

    Attributes:
        memory: what blocks are read into; `data` is the same as an array.
        ends, feeds, firsts, plan, values, missing, lines, keys, rejected: see `struct work` in kernel.c.
        work: their addresses, and the numbers beside them.
        layout: the layout of the lines that are evaluated; None as long as it is not known.
        columns: the place in a line (or -1), the lowest and the highest number of each column of numbers; `plan` as a list.
        numbers: the row of `values` and `missing` in which each field of numbers is.
        block: the current block.
        count: how many lines it has.
    """

    def __init__(self, decoder: Decoder, rows: int = _ROWS, rejects: int = _REJECTS) -> None:
        self.decoder = decoder
        self.memory = bytearray(ROOM + SLACK)
        self.data = np.frombuffer(self.memory, np.uint8)
        self.ends = np.empty(ROOM // 2 + 8, np.int32)
        self.feeds, self.firsts = np.empty(ROOM + 1, np.int32), np.empty(ROOM + 1, np.int32)
        self.lines, self.keys = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self.rejected = np.empty((rejects, 2), np.int32)
        self.texts = np.empty(ROOM + 15, np.uint8)
        self.work = Work(most_rows=rows, most_rejects=rejects)
        for name in ("data", "ends", "feeds", "firsts", "lines", "keys", "rejected"):
            setattr(self.work, name, getattr(self, name).ctypes.data)
        self.block, self.count = Block(0, 0, False), 0
        self._planned: tuple[Layout | None, frozenset[str]] = None, frozenset()
        self.use(None)

    def use(self, layout: Layout | None, wanted: frozenset[str] = frozenset()) -> None:
        """Evaluates lines under a layout from now on; of a repeated field, the first column counts (rule 12).

        Args:
            layout: the layout. Without one, all lines are rejected, so that headers are found among them.
            wanted: the fields of numbers to read beside dstport and protocol.
        """
        if self._planned == (layout, wanted):
            return
        self._planned, self.layout = (layout, wanted), layout
        fields = layout or ()
        names = ["dstport", "protocol"]
        names += [name for name in dict.fromkeys(fields) if name in wanted - {*names} and _is_number(name)]
        self.numbers = {name: row for row, name in enumerate(names)}
        self.columns = [(fields.index(name) if name in fields else -1, *FIELDS[name].bounds) for name in names]
        self.plan = np.array(self.columns, np.int64)
        self.values = np.empty((len(names), len(self.lines)), np.int64)
        self.missing = np.empty(self.values.shape, np.uint8)
        self.work.fields = len(fields) if layout else -1
        self.work.status = fields.index("log-status") if "log-status" in fields else -1
        self.work.columns = len(names)
        for name in ("plan", "values", "missing"):
            setattr(self.work, name, getattr(self, name).ctypes.data)

    def take(self, block: Block) -> int:
        """Finds the values and lines of a block, and returns the number of its lines."""
        self.block, self.count = block, self.decoder.tokens(self, block)
        return self.count

    def evaluate(self, line: int) -> int:
        """Evaluates lines of the block, and returns the line to go on with."""
        return self.decoder.evaluate(self, line, self.count)

    def clear(self) -> None:
        """Forgets the rows and the rejected lines, once they are used."""
        work = self.work
        work.rows = work.flows = work.nodata = work.skipdata = work.blank = work.rejects = 0

    def blank_lines(self) -> int:
        """How many blank lines the block begins with."""
        filled = np.flatnonzero(self.firsts[1 : self.count + 1])
        return int(filled[0]) if len(filled) else self.count

    def spans(self, lines: Ints) -> tuple[Ints, Ints]:
        """Where some lines of the block begin and stop in `memory`, without their line ends."""
        firsts, stops = self.feeds[lines] + 1, self.feeds[lines + 1]
        added = self.block.open_end & (lines == self.count - 1)
        return firsts, stops - ((self.data[stops - 1] == ord("\r")) & (stops > firsts) & ~added)

    def text(self, line: int) -> bytes:
        """A line of the block as it stands in the file, without its line end."""
        (first,), (stop,) = self.spans(np.array([line], np.int32))
        return bytes(self.memory[first:stop])


def _is_number(name: str) -> bool:
    return name in FIELDS and FIELDS[name].type != "string"


@dataclass(frozen=True)
class Decoder:
    """The functions of the decoder; kernel.c and rules.py each have them, and say what they do.

    Attributes:
        name: `compiled` or `python`.
        tokens: finds the values and lines of a block, and returns the number of its lines.
        evaluate: evaluates the lines from one to another under the current layout, and returns the line to go on with.
        count: counts keys in a table of counts, and marks each protocol that it has seen.
        texts: fills edges, validity and bytes of a column of texts; returns 0 if all bytes are ASCII.
    """

    name: str
    tokens: Callable[[Arrays, Block], int]
    evaluate: Callable[[Arrays, int, int], int]
    count: Callable[[Ints, Counts, Bytes], None]
    texts: Callable[[Arrays, int, Ints, Bytes], int]

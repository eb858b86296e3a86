"""Compiles flowspark/decode/kernel.c into a folder, an object for each kind of machine: scripts/build_kernel.py FOLDER.

The compiler is Zig's (scripts/locks/kernel.txt), which cross-compiles. The objects are a few kilobytes each, and use no
library, not even C's. The same source and compiler give the same bytes. Each object has the checksum of its source in it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "flowspark" / "decode" / "kernel.c"

# The name of each object, for which flowspark/decode/kernel.py looks; the compiler's target and processor
OBJECTS = {
    "kernel-linux-x86_64-v3.so": ("x86_64-linux-gnu", "x86_64_v3"),
    "kernel-linux-x86_64-v2.so": ("x86_64-linux-gnu", "x86_64_v2"),
    "kernel-linux-aarch64.so": ("aarch64-linux-gnu", "generic"),
}
# Freestanding and without builtins: otherwise the compiler may put a call of memcpy in place of a loop
_FLAGS = ("-O3", "-shared", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fPIC", "-s", "-Wall", "-Wextra", "-Werror")


def checksum() -> bytes:
    """The first eight bytes of the SHA-256 of the source."""
    return hashlib.sha256(SOURCE.read_bytes()).digest()[:8]


def up_to_date(folder: Path) -> bool:
    """Whether a folder has all objects, compiled from the source as it is."""
    objects = [folder / name for name in OBJECTS]
    return all(path.exists() and checksum()[::-1] in path.read_bytes() for path in objects)


def build(folder: Path) -> None:
    """Writes all objects into a folder that exists."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for name, (target, processor) in OBJECTS.items():
            options = [*_FLAGS, f"-DSOURCE=0x{checksum().hex()}", "-target", target, f"-mcpu={processor}"]
            subprocess.run([sys.executable, "-m", "ziglang", "cc", *options, "-o", name, SOURCE], cwd=work, check=True)
            Path(work, name).chmod(0o644)
            Path(work, name).replace(folder / name)


if __name__ == "__main__":
    build(Path(sys.argv[1]))

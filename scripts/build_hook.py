"""Hatch's build hook: puts the objects of the compiled decoder into the wheel and the sdist, and compiles them before."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelHook(BuildHookInterface):
    """Puts the objects into the package. The compiler is only asked for if they are missing or older than their source."""

    def dependencies(self) -> list[str]:
        lock = Path(self.root, "scripts", "locks", "kernel.txt").read_text()
        return [] if self._kernel["up_to_date"](self._folder) else [lock.split()[0]]

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        if not self._kernel["up_to_date"](self._folder):
            self._kernel["build"](self._folder)
        build_data["artifacts"] += [f"flowspark/decode/{name}" for name in self._kernel["OBJECTS"]]

    @property
    def _kernel(self) -> dict[str, Any]:
        return runpy.run_path(str(Path(self.root, "scripts", "build_kernel.py")))

    @property
    def _folder(self) -> Path:
        return Path(self.root, "flowspark", "decode")

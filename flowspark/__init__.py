"""flowspark counts the traffic in AWS VPC flow logs by tag, and by port and protocol, on Spark."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036  # a zip or a clone comes without pip, which would refuse
    raise ImportError(
        f"flowspark needs Python 3.11 or later, and this is {sys.version.split()[0]} ({sys.executable}); name a newer one "
        "in PYSPARK_PYTHON, for the driver too, or ship the archive of `scripts/package environment`",
        name="flowspark",
    )

__version__ = "0.1.0"

__all__ = [
    "BadFile",
    "CheckError",
    "FlowsparkError",
    "InputError",
    "UsageError",
    "count_port_protocols",
    "count_tags",
    "flow_log_schema",
    "load_lookup",
    "read_flow_logs",
    "tag_flows",
]

if TYPE_CHECKING:
    from flowspark.errors import BadFile, CheckError, FlowsparkError, InputError, UsageError
    from flowspark.lookup_table import load_lookup
    from flowspark.scan import flow_log_schema, read_flow_logs
    from flowspark.tagging import count_port_protocols, count_tags, tag_flows

_HOMES = {
    "BadFile": "errors",
    "CheckError": "errors",
    "FlowsparkError": "errors",
    "InputError": "errors",
    "UsageError": "errors",
    "count_port_protocols": "tagging",
    "count_tags": "tagging",
    "flow_log_schema": "scan",
    "load_lookup": "lookup_table",
    "read_flow_logs": "scan",
    "tag_flows": "tagging",
}


def __getattr__(name: str) -> Any:
    """Imports the module of a public name when it is first used, so that the decoder works without pyspark.

    Raises:
        FlowsparkError: a package that the library needs is missing or too old.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'flowspark' has no attribute '{name}'")
    from importlib import import_module

    if _HOMES[name] != "errors":
        import_module("flowspark.requirements").check_driver()
    return getattr(import_module(f"flowspark.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

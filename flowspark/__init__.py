"""flowspark counts the traffic in AWS VPC flow logs by tag, and by port and protocol, on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """Imports the module of a public name when it is first used, so that the decoder works without pyspark."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flowspark' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"flowspark.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

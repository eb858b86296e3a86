"""The versioned field registry: every field that AWS documents, its version, type and allowed values (data/fields.csv)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1


@dataclass(frozen=True)
class Field:
    """One field of a flow log record.

    Attributes:
        name: as AWS writes it, with hyphens (`log-status`).
        version: the record version that brought it; 6 is Transit Gateway.
        type: `int`, `long` or `string`.
        values: allowed values, `a|b`, or for a number that is checked, `low..high`; empty when AWS gives none.
        transit_gateway: the position, from 1, in the default format of Transit Gateway flow logs; 0 when it is not there.
    """

    name: str
    version: int
    type: str
    values: str
    transit_gateway: int

    @property
    def column(self) -> str:
        """The column's name in a DataFrame, with underscores, as in AWS's own Parquet (`log_status`)."""
        return column_name(self.name)

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and highest number that the field can hold; for numbers only."""
        if ".." in self.values:
            low, high = self.values.split("..")
            return int(low), int(high)
        return (-INT_MAX - 1, INT_MAX) if self.type == "int" else (-LONG_MAX - 1, LONG_MAX)


def column_name(field: str) -> str:
    """The DataFrame column of a field.

    >>> column_name("log-status")
    'log_status'
    """
    return field.replace("-", "_")


def field_name(column: str) -> str:
    """The field of a DataFrame column, the reverse of `column_name`.

    >>> field_name("log_status")
    'log-status'
    """
    return column.replace("_", "-")


def _registry() -> dict[str, Field]:
    text = resources.files("flowspark").joinpath("data/fields.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["field"]: Field(row["field"], int(row["version"]), row["type"], row["values"], int(row["transit_gateway"] or 0))
        for row in rows
    }


FIELDS = _registry()
"""All fields by name, VPC fields in AWS's table order, then those that only Transit Gateway has."""

TRANSIT_GATEWAY = 6
VERSIONS = tuple(sorted({field.version for field in FIELDS.values()}))


def fields_of_version(version: int) -> tuple[str, ...]:
    """The names of all fields up to a version, in AWS's table order; for 6, Transit Gateway's default format.

    Raises:
        ValueError: there is no such version.

    >>> fields_of_version(2)[6:8]
    ('dstport', 'protocol')
    >>> [len(fields_of_version(version)) for version in VERSIONS]
    [14, 21, 25, 29, 36, 39, 40, 41, 42, 54]
    """
    if version not in VERSIONS:
        raise ValueError(f"no flow log version {version}; the versions are {', '.join(map(str, VERSIONS))}")
    if version == TRANSIT_GATEWAY:
        ordered = sorted((f for f in FIELDS.values() if f.transit_gateway), key=lambda field: field.transit_gateway)
        return tuple(field.name for field in ordered)
    return tuple(f.name for f in FIELDS.values() if f.version <= version and f.version != TRANSIT_GATEWAY)

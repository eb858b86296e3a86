"""Writes the README's table of fields again, from the registry: `python scripts/make_field_table.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flowspark.fields import FIELDS, TRANSIT_GATEWAY  # noqa: E402  # only now can it be found

START, END = "<!-- fields: made by scripts/make_field_table.py -->\n", "<!-- end of fields -->"


def table() -> str:
    """The fields as a Markdown table."""
    lines = ["| field | column | type | since | in Transit Gateway logs | values |", "|---|---|---|---|---|---|"]
    for field in FIELDS.values():
        since = "tgw" if field.version == TRANSIT_GATEWAY else f"v{field.version}"
        also = "yes" if field.transit_gateway else ""
        values = field.values.replace("..", " to ").replace("|", ", ")
        lines.append(f"| `{field.name}` | `{field.column}` | {field.type} | {since} | {also} | {values} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """A README's text with the table as it should be."""
    before, rest = readme.split(START)
    return f"{before}{START}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")

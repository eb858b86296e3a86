"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowspark import pipeline, report
from flowspark.settings import load_settings

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("spark")
def test_the_snippets_run(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        # the session of the tests is the one that a snippet's getOrCreate finds
        exec(snippet, names)
    out = capsys.readouterr().out
    assert [line.replace(" ", "") for line in out.splitlines() if "|" in line] == [
        "|tag|count|", "|Untagged|2618|", "|web|1003|", "|clear-text|419|",
        "|dstport|protocol|count|", "|443|tcp|573|", "|443|udp|20|",
        "|line|reason|", "|101|field_count|", "|201|bad_number|", "|301|bad_log_status|", "|701|field_count|",
    ]  # fmt: skip
    assert names["records"].columns == ["dstport", "protocol", "log_status", "bytes"]


def test_the_demo_shows_what_the_readme_shows(spark, tmp_path):
    sample = ROOT / "tests" / "sample"
    given = {"input": [str(sample / "logs")], "lookup": str(sample / "lookup.csv"), "output": str(tmp_path)}
    shown = report.tables(pipeline.run(spark, load_settings(given)))
    text = re.search(r"<!-- demo -->\n```text\n(.*?)```", README, re.DOTALL).group(1)
    assert shown.startswith(text)
    assert shown.removeprefix(text).strip().startswith("Output: ")

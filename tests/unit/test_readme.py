"""The README is current."""

from __future__ import annotations

import argparse
import re
import runpy
from pathlib import Path

from flowspark.cli import parser
from flowspark.settings import NAMES, load_settings

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_fields_is_current():
    maker = runpy.run_path(str(ROOT / "scripts" / "make_field_table.py"))
    assert maker["with_table"](README) == README
    assert README.count("| v11 |") == 12


def test_the_table_of_costs_is_what_the_script_prints(capsys):
    runpy.run_path(str(ROOT / "scripts" / "bench" / "cost.py"), run_name="__main__")
    assert capsys.readouterr().out.strip() in README


def test_every_flag_is_in_the_readme_and_no_other():
    flags = {flag for action in parser()._actions for flag in action.option_strings if flag.startswith("--")}
    table = README.split("## The command line")[1].split("| exit code |")[0]
    assert set(re.findall(r"`(--[\w-]+)", table)) == flags
    assert isinstance(parser(), argparse.ArgumentParser)


def test_the_example_settings_are_all_there_and_are_the_defaults():
    path = ROOT / "conf" / "tag_flows.toml"
    given = load_settings({}, str(path))
    assert given == load_settings({"input": "tests/sample/logs", "lookup": given.lookup, "output": given.output})
    assert all(re.search(rf"^(# )?{name} = ", path.read_text(), re.MULTILINE) for name in NAMES)

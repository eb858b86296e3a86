"""What a published summary must be to be trusted."""

from __future__ import annotations

import json

import pytest

from flowspark.settings import Settings
from flowspark.summary import DamagedState, parse_summary

SETTINGS = Settings(("/logs",), "/lookup.csv", "/out", interval="2026-11-22", account=("1",))
CONTENT = {
    "flowspark": "0.1.0",
    "run_id": "r",
    "interval": "2026-11-22",
    "inputs": ["/logs"],
    "lookup": {"sha256": "0"},
    "books": {"files": 1},
    "settings": json.loads(json.dumps(SETTINGS.as_text())),
    "scan": "_scan/interval=2026-11-22/run=r",
}


def test_a_summary_tells_its_settings_inputs_and_scan():
    summary = parse_summary(json.dumps(CONTENT) + "\n", "2026-11-22")
    assert (summary.content, summary.settings, summary.inputs, summary.scan) == (CONTENT, SETTINGS, ("/logs",), "run=r")


@pytest.mark.parametrize("name", CONTENT)
def test_a_summary_that_lacks_something_is_damaged(name):
    lacking = {key: value for key, value in CONTENT.items() if key != name}
    with pytest.raises(DamagedState, match=f"cannot be understood .*{name}"):
        parse_summary(json.dumps(lacking), "2026-11-22")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (json.dumps(CONTENT, indent=2), "more than one line"),
        (json.dumps(CONTENT) + "\n" + json.dumps(CONTENT) + "\n", "more than one line"),
        (json.dumps(CONTENT)[:100], "cannot be understood"),
        ("[]", "cannot be understood"),
        ("null", "cannot be understood"),
        ("7", "cannot be understood"),
        ("\x00\ufffd", "cannot be understood"),
        (json.dumps(CONTENT | {"settings": []}), "cannot be understood"),
        (json.dumps(CONTENT | {"settings": CONTENT["settings"] | {"reader": "none"}}), "cannot be understood"),
        (json.dumps(CONTENT | {"books": []}), "cannot be understood"),
        (json.dumps(CONTENT | {"inputs": 5}), "cannot be understood"),
        *(
            (json.dumps(CONTENT | {"scan": scan}), "not one of this interval")
            for scan in ("../elsewhere/run=r", "/run=r", "run=r", "_scan/interval=all/run=r", "_scan/interval=2026-11-22/x",
                         "_scan/interval=2026-11-22/run=r/../../x")
        ),
    ],
)  # fmt: skip
def test_a_summary_that_cannot_be_one_is_damaged(text, fault):
    with pytest.raises(DamagedState, match=fault):
        parse_summary(text, "2026-11-22")

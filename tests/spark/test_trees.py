"""Random trees of files through the whole job: nothing that is published differs from the reference."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowspark.errors import InputError
from flowspark.protocols import protocol_label
from tests import reference
from tests.spark.job import run_job
from tests.strategies import contents

pytestmark = pytest.mark.newest

LOOKUP = {(443, 6): ["web"], (443, 17): ["web", "quic"], (53, 17): ["dns"], (0, 1): ["ping"], (80, 6): ["clear"]}
FOLDERS = st.sampled_from(["", "a/", "a/b c/", "day=01/", "ü+%/"])


@pytest.mark.parametrize("reader", ["direct", "spark"])
@settings(max_examples=6)
@given(files=st.lists(st.tuples(FOLDERS, contents()), min_size=4, max_size=25))
def test_a_random_tree_counts_as_the_reference_does(_spark, reader, files):
    with tempfile.TemporaryDirectory() as folder:
        logs = {f"{place}{n:02}.log": content for n, (place, content) in enumerate(files)}
        check_tree(_spark.newSession(), Path(folder), logs, reader)


def check_tree(spark, folder: Path, logs: dict[str, bytes], reader: str) -> None:
    read, bad = {}, []
    for name, content in logs.items():
        try:
            read[name.rsplit("/", 1)[-1]] = reference.read(content)
        except reference.Bad:
            bad.append(name.rsplit("/", 1)[-1])
    lookup = "dstport,protocol,tag\n" + "".join(f"{p},{n},{t}\n" for (p, n), tags in LOOKUP.items() for t in tags)
    options = {"on_bad_file": "skip", "max_reject_ratio": "1", "reader": reader}
    if not read:
        with pytest.raises(InputError, match="not one of the"):
            run_job(spark, folder, logs, lookup, **options)
        return
    out = run_job(spark, folder, logs, lookup, **options)

    flows = sum((reading.flows for reading in read.values()), Counter())
    tags: Counter = Counter()
    for key, count in flows.items():
        for tag in LOOKUP.get(key, ["Untagged"]):
            tags[tag] += count
    assert out.tags == sorted(tags.items(), key=lambda row: (-row[1], row[0]))
    missing = (1 << 20,)
    ordered = sorted(flows.items(), key=lambda item: (-item[1], *(missing if v is None else (v,) for v in item[0])))
    assert out.ports == [
        ("" if port is None else str(port), "" if protocol is None else protocol_label(protocol), count)
        for (port, protocol), count in ordered
    ]
    paths = sorted(logs, key=lambda name: str(folder / "logs" / name))
    names = [name.rsplit("/", 1)[-1] for name in paths]
    assert out.rejects == [(n, *reject) for n in names if n in read for reject in read[n].rejects]
    assert list(out.files) == names
    kinds = ("lines", "header", "blank", "flows", "nodata", "skipdata", "rejected")
    for name, row in out.files.items():
        audit = read[name].audit if name in read else (0,) * 7
        assert tuple(int(row[kind]) for kind in kinds) == audit
        assert row["status"] == ("read" if name in read else "skipped")
        assert row["layout"] == (" | ".join(read[name].layouts) if name in read else "")
    totals = [sum(column) for column in zip(*(reading.audit for reading in read.values()), strict=True)]
    rejects = sum(len(reading.rejects) for reading in read.values())
    counted = {"files": len(read), "files_skipped": len(bad), "rejects_stored": rejects}
    assert out.summary["books"] == counted | dict(zip(kinds, totals, strict=True))
    assert sorted(Path(bad["path"]).name for bad in out.summary["bad_files"]) == sorted(bad)
    untagged = sum(count for key, count in flows.items() if key not in LOOKUP)
    assert (out.summary["untagged"], out.summary["tagged"]) == (untagged, flows.total() - untagged)
    assert out.summary["flows_without_ports"] == sum(count for key, count in flows.items() if None in key)
    layouts = Counter(layout for reading in read.values() for layout in reading.layouts)
    assert {row["layout"]: row["files"] for row in out.summary["layouts"]} == layouts

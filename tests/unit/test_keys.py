"""AWS's keys: what a path tells, which files an interval takes, and where they are looked for."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowspark.errors import CannotList, InputError, UsageError
from flowspark.files import LogFile
from flowspark.keys import Interval, KeyFacts, Selection, describe_keys, key_facts, parse_interval, select
from flowspark.listing import Listing
from flowspark.missing import shortened
from flowspark.report import warnings
from flowspark.search import MOST_FOLDERS
from flowspark.storage import Local

NAME = "{account}_vpcflowlogs_{region}_{flow_log}_{time}_{hash}.log.gz"
PLAIN = "AWSLogs/{organisation}{account}/vpcflowlogs/{region}/{y}/{m}/{d}/"
HIVE = (
    "AWSLogs/{organisation}aws-account-id={account}/{service}=vpcflowlogs/aws-region={region}/year={y}/month={m}/day={d}/"
)


def key(
    time: datetime,
    folders: str = PLAIN,
    *,
    hourly: str = "",
    account: str = "123456789010",
    region: str = "eu-west-1",
    flow_log: str = "fl-0a",
    organisation: str = "",
    service: str = "aws-service",
) -> str:
    """The key of a log file, as AWS's documentation spells it."""
    facts = {"account": account, "region": region, "flow_log": flow_log, "organisation": organisation, "service": service}
    name = NAME.format(**facts, time=f"{time:%Y%m%dT%H%MZ}", hash=f"{time:%H%M}beef")
    return folders.format(**facts, y=f"{time:%Y}", m=f"{time:%m}", d=f"{time:%d}") + hourly.format(h=f"{time:%H}") + name


NOON = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)
LAYOUTS = {
    "plain, daily": {},
    "plain, hourly": {"hourly": "{h}/"},
    "Hive, daily": {"folders": HIVE},
    "Hive, hourly": {"folders": HIVE, "hourly": "hour={h}/"},
    "Hive, another service": {"folders": HIVE, "service": "service"},
    "plain, organisation": {"organisation": "o-a1b2c3/"},
    "Hive, organisation": {"folders": HIVE, "organisation": "o-a1b2c3/", "hourly": "hour={h}/"},
}


@pytest.mark.parametrize(
    ("text", "expected"), [("2026-11-22", ("2026-11-22", None)), ("2024-02-29T23", ("2024-02-29", "23"))]
)
def test_an_interval_is_a_day_or_an_hour(text, expected):
    assert parse_interval(text) == Interval(*expected)
    assert parse_interval(text).label == text


@pytest.mark.parametrize(
    "text",
    "|all|2026-11|2026-02-29|2026-11-22T24|2026-11-22T5|2026-11-22T05:00|22.11.2026|2026-11-22 |٢٠٢٦-11-22".split("|"),
)
def test_anything_else_is_wrong_usage(text):
    with pytest.raises(UsageError, match="is no UTC day or hour; write it as 2026-11-22 or 2026-11-22T05") as caught:
        parse_interval(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prefix", ["s3://bucket/", "s3a://bucket/some/prefix/", "/var/logs/"])
def test_every_key_layout_of_aws_tells_account_region_flow_log_and_time(prefix, layout):
    path = prefix + key(NOON, account="001234567890", **LAYOUTS[layout])
    assert key_facts(path) == KeyFacts("001234567890", "eu-west-1", "fl-0a", "20261122T1205Z")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/logs/a.log", KeyFacts(None, None, None, None)),
        ("/logs/flows-20261122T0515Z.log", KeyFacts(None, None, None, "20261122T0515Z")),
        ("/AWSLogs/1/vpcflowlogs/eu-west-1/2026/11/22/x.log", KeyFacts("1", "eu-west-1", None, None)),
        (
            "/logs/7_vpcflowlogs_us-east-1_fl-9_20261122T0515Z_0.log.gz",
            KeyFacts("7", "us-east-1", "fl-9", "20261122T0515Z"),
        ),
        ("/AWSLogs/1/CloudTrail/eu-west-1/2026/11/22/x.json.gz", KeyFacts(None, None, None, None)),
        ("/logs/120261122T0515Z.log", KeyFacts(None, None, None, None)),
    ],
)
def test_other_paths_tell_what_they_have(path, expected):
    assert key_facts(path) == expected


def chosen(selection: Selection, *paths: str) -> list[str]:
    return selection.choose(paths)


def test_the_folder_decides_on_the_day_and_the_name_on_the_hour():
    day, hour = Selection(parse_interval("2026-11-22")), Selection(parse_interval("2026-11-22T05"))
    folder = "/AWSLogs/1/vpcflowlogs/eu-west-1/2026/11/22/"
    at_five, next_day = f"{folder}x_20261122T0555Z_1.log", f"{folder}x_20261123T0500Z_1.log"
    nameless = f"{folder}05/whatever.log"
    in_folder = [at_five, next_day, nameless, f"{folder}whatever.log"]
    assert chosen(day, *in_folder) == in_folder
    assert chosen(hour, at_five, next_day, nameless) == [at_five, next_day, nameless]
    assert chosen(hour, f"{folder}04/x_20261122T0555Z_1.log") == []
    assert chosen(day, "/AWSLogs/1/vpcflowlogs/eu-west-1/2026/11/21/x_20261122T0000Z_1.log") == []


def test_the_edges_of_an_interval():
    def at(*times: str) -> list[str]:
        return [f"/logs/x_{time}_1.log" for time in times]

    day, hour = Selection(parse_interval("2026-11-22")), Selection(parse_interval("2026-11-22T05"))
    assert chosen(day, *at("20261121T2355Z", "20261122T0000Z", "20261122T2355Z", "20261123T0000Z")) == at(
        "20261122T0000Z", "20261122T2355Z"
    )
    assert chosen(hour, *at("20261122T0459Z", "20261122T0500Z", "20261122T0559Z", "20261122T0600Z")) == at(
        "20261122T0500Z", "20261122T0559Z"
    )


@pytest.mark.parametrize(
    ("selection", "what"),
    [
        (Selection(parse_interval("2026-11-22")), "time"),
        (Selection(parse_interval("2026-11-22T05")), "time"),
        (Selection(accounts=("1",)), "account"),
        (Selection(regions=("eu-west-1",)), "region"),
        (Selection(flow_log_ids=("fl-1",)), "flow log id"),
    ],
)
def test_a_file_that_does_not_tell_what_is_asked_is_an_error_with_a_hint(selection, what):
    paths = [f"/logs/{n}.log" for n in range(7)]
    with pytest.raises(InputError) as caught:
        selection.choose(paths)
    message = str(caught.value)
    assert message.startswith("7 file(s) cannot be placed for ")
    assert f"/logs/0.log does not tell its {what}\n" in message
    assert message.endswith("… and 2 more")
    assert "_20261122T0515Z_" in message


def test_one_text_is_no_list_of_filters():
    with pytest.raises(UsageError, match="account '123456789010' is one text; give a list of them"):
        select(None, "123456789010", [], [])


def test_filters_compare_strings_exactly():
    one, two = (
        "/x/001_vpcflowlogs_eu-west-1_fl-a_20261122T0515Z_0.log",
        "/x/1_vpcflowlogs_eu-west-2_fl-b_20261122T0515Z_0.log",
    )
    assert chosen(Selection(accounts=("1",)), one, two) == [two]
    assert chosen(Selection(accounts=("1", "001"), regions=("eu-west-1",)), one, two) == [one]
    assert chosen(Selection(flow_log_ids=("fl-b",)), one, two) == [two]
    assert chosen(Selection(regions=("eu-west",)), one, two) == []


# Listing


class Counted(Local):
    """A local storage that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def level(self, folder):
        self.asked.append(folder)
        return super().level(folder)

    def tree(self, root):
        self.asked.append(root)
        return super().tree(root)


def put(folder: Path, *keys: str) -> None:
    for name in keys:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def found(root: Path | str, selection: Selection, storage: Local | None = None) -> list[str]:
    return sorted(file.path for file in Listing(storage or Local(), str(root)).files(selection).files)


@pytest.mark.parametrize("inside", range(9))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("interval", ["2026-11-22", "2026-11-22T12"])
def test_an_interval_is_found_in_every_key_layout_from_every_folder_above_it(tmp_path, layout, interval, inside):
    wanted = key(NOON, **LAYOUTS[layout])
    others = [key(NOON + timedelta(days=days), **LAYOUTS[layout]) for days in (-365, -1, 1)]
    put(tmp_path, wanted, *others)
    root = tmp_path.joinpath(*wanted.split("/")[:inside])  # from the folder that holds AWSLogs down to the file itself
    assert found(root, Selection(parse_interval(interval))) == [str(tmp_path / wanted)]


@pytest.mark.parametrize("interval", ["2026-11-22", "2026-11-22T05"])
def test_layouts_accounts_and_regions_mixed_in_one_bucket(tmp_path, interval):
    selection = Selection(parse_interval(interval))
    start = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    keys = {}
    for n, how in enumerate(LAYOUTS.values()):
        for step in range(0, 3 * 24 * 60, 55):
            time = start + timedelta(minutes=step)
            keys[key(time, account=f"00000000000{n}", region=f"eu-west-{step % 3}", flow_log=f"fl-{step}", **how)] = time
    put(tmp_path, *keys)
    expected = [
        str(tmp_path / name)
        for name, time in keys.items()
        if f"{time:%Y-%m-%d}" == "2026-11-22" and (interval == "2026-11-22" or time.hour == 5)
    ]
    assert len(expected) >= len(LAYOUTS)
    assert found(tmp_path, selection) == sorted(expected)
    some_account = Selection(parse_interval(interval), accounts=("000000000003", "000000000005"))
    assert found(tmp_path, some_account) == sorted(p for p in expected if "000000000003" in p or "000000000005" in p)
    one_region = Selection(parse_interval(interval), regions=("eu-west-1",))
    assert found(tmp_path, one_region) == sorted(p for p in expected if "eu-west-1" in p)


def test_pruning_finds_what_a_search_of_everything_finds(tmp_path):
    chance = random.Random(5)
    start = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
    keys = [
        key(
            start + timedelta(minutes=chance.randrange(0, 2000)),
            account=f"{chance.randrange(3):012}",
            region=chance.choice(["eu-west-1", "us-east-1"]),
            flow_log=f"fl-{chance.randrange(3)}",
            **chance.choice(list(LAYOUTS.values())),
        )
        for _ in range(300)
    ]
    put(tmp_path, *keys)
    everything = found(tmp_path, Selection())
    assert len(everything) == len(set(keys))
    for _ in range(60):
        selection = Selection(
            chance.choice([None, parse_interval("2026-11-22"), parse_interval(f"2026-11-22T{chance.randrange(24):02}")]),
            chance.choice([(), ("000000000000",), ("000000000001", "000000000002")]),
            chance.choice([(), ("us-east-1",)]),
            chance.choice([(), ("fl-1", "fl-2")]),
        )
        assert found(tmp_path, selection) == selection.choose(everything)


def test_below_awslogs_only_the_folders_of_the_interval_are_asked_for(tmp_path):
    accounts, regions = [f"{n:012}" for n in range(4)], ["eu-west-1", "us-east-1", "us-west-2"]
    for account in accounts:
        for region in regions:
            for day in range(20):
                put(tmp_path, key(NOON - timedelta(days=day), account=account, region=region))
    before = Counted()
    assert len(found(tmp_path, Selection(parse_interval("2026-11-22")), before)) == 12
    # the input, AWSLogs for its accounts, an account for its regions, a region for its day
    assert len(set(before.asked)) == 1 + 1 + len(accounts) + len(accounts) * len(regions)
    put(
        tmp_path,
        "AWSLogs/elb/x.log",
        "AWSLogs/000000000000/CloudTrail/x",
        "AWSLogs/000000000009/vpcflowlogs/y/2025/01/01/z",
    )
    after = Counted()
    assert len(found(tmp_path, Selection(parse_interval("2026-11-22")), after)) == 12
    new = {*after.asked} - {*before.asked}
    below = f"{tmp_path}/AWSLogs"
    assert new == {f"{below}/elb", f"{below}/000000000009/vpcflowlogs", f"{below}/000000000009/vpcflowlogs/y/2026/11/22"}
    filtered = Counted()
    one = Selection(parse_interval("2026-11-22"), accounts=(accounts[1],), regions=(regions[0],))
    assert len(found(tmp_path, one, filtered)) == 1
    assert not any(accounts[2] in folder for folder in filtered.asked)


DAY = Selection(parse_interval("2026-11-22"))


def listing_of(root: Path, selection: Selection, storage: Local | None = None) -> tuple[list[str], list[str]]:
    """The files found and what was not searched, both relative to the input, sorted."""
    result = Listing(storage or Local(), str(root)).files(selection)
    relative = [[os.path.relpath(path, root) for path in paths] for paths in
                ([file.path for file in result.files], result.not_searched)]  # fmt: skip
    return sorted(relative[0]), sorted(relative[1])


@pytest.mark.parametrize("prefixes", [["", "team-a/"], ["team-a/", "team-b/"], ["a/b/c/d/", "a/b/"], ["AWSLogs/old/", ""]])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_selection_takes_its_files_below_every_prefix(tmp_path, prefixes, layout):
    wanted = [prefix + key(NOON, account=f"{n:012}", **LAYOUTS[layout]) for n, prefix in enumerate(prefixes)]
    others = [
        prefix + key(NOON + timedelta(days=days), account=f"{n:012}", **LAYOUTS[layout])
        for n, prefix in enumerate(prefixes)
        for days in (-1, 1)
    ]
    put(tmp_path, *wanted, *others)
    assert listing_of(tmp_path, DAY) == (sorted(wanted), [])
    for n in range(len(prefixes)):
        assert len(listing_of(tmp_path, Selection(accounts=(f"{n:012}",)))[0]) == 3
    by_region = Selection(regions=("eu-west-1",))
    assert len(listing_of(tmp_path, by_region)[0]) == 3 * len(wanted)


def test_an_input_below_a_folder_awslogs_that_is_none_of_aws_is_searched_too(tmp_path):
    put(tmp_path, f"AWSLogs/archive/team-a/{key(NOON)}", f"AWSLogs/archive/{key(NOON, account='1')}")
    assert len(listing_of(tmp_path / "AWSLogs" / "archive", DAY)[0]) == 2


def test_folders_in_awslogs_that_only_look_like_accounts_are_searched(tmp_path):
    put(
        tmp_path, key(NOON), f"AWSLogs/team/{key(NOON)}", f"AWSLogs/2023-migrated/{key(NOON)}", f"AWSLogs/o-old/{key(NOON)}"
    )
    files, not_searched = listing_of(tmp_path, DAY)
    assert (len(files), not_searched) == (4, [])


def test_what_is_not_a_file_stops_only_a_run_that_reads_it(tmp_path):
    put(tmp_path, key(NOON), f"team/{key(NOON)}")
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "pipe")
    files, not_searched = listing_of(tmp_path, DAY)
    assert (len(files), not_searched) == (2, ["run"])
    os.mkfifo(tmp_path / "team" / "AWSLogs" / "pipe")
    with pytest.raises(InputError, match="pipe is not a regular file"):
        listing_of(tmp_path, DAY)


def test_files_beside_awslogs_are_taken_when_their_names_tell_and_reported_when_not(tmp_path):
    name = Path(key(NOON)).name
    put(tmp_path, key(NOON), f"copied/{name.replace('123456789010', '000000000001')}", "copied/x_20261121T1205Z_.log")
    put(tmp_path, "README.txt", "reports/deep/flows.csv", "AWSLogs/note.txt", ".hidden", "_old/y.log")
    files, not_searched = listing_of(tmp_path, DAY)
    assert files == sorted([key(NOON), f"copied/{name.replace('123456789010', '000000000001')}"])
    assert not_searched == ["AWSLogs/note.txt", "README.txt", "reports/deep/flows.csv"]


def test_the_search_ends_at_its_bound_and_tells_what_it_has_not_looked_at(tmp_path):
    put(
        tmp_path,
        key(NOON),
        f"team-0000/{key(NOON, account='000000000001')}",
        f"team-1100/{key(NOON, account='000000000002')}",
    )
    put(tmp_path, *(f"team-{n:04}/x_20261122T1205Z_.log" for n in range(1, 1100)))
    storage = Counted()
    files, not_searched = listing_of(tmp_path, DAY, storage)
    # 1,000 listings: the input itself and 999 of its folders but AWSLogs, of which one has no file but an AWSLogs
    assert len([folder for folder in storage.asked if "AWSLogs" not in folder]) == MOST_FOLDERS
    assert len(files) == 2 + 998
    assert not_searched == [f"team-{n:04}" for n in range(999, 1101)]


def test_an_input_without_awslogs_is_listed_whole_whatever_its_size(tmp_path):
    put(tmp_path, *(f"{n}/deep/x_20261122T1205Z_.log" for n in range(600)))
    files, not_searched = listing_of(tmp_path, DAY)
    assert (len(files), not_searched) == (600, [])


def test_what_the_search_finds_is_what_a_listing_of_everything_finds(tmp_path):
    chance = random.Random(7)
    start = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
    names = [
        "".join(chance.choice(["a/", "b/", "c/"]) for _ in range(chance.randrange(4)))
        + key(
            start + timedelta(minutes=chance.randrange(0, 2000)),
            account=f"{n:012}",
            **chance.choice(list(LAYOUTS.values())),
        )
        for n in range(120)
    ]
    put(tmp_path, *names, *("a/" + name.rsplit("/", 1)[-1].replace("_fl-", "_fl-x") for name in names[::3]))
    everything = found(tmp_path, Selection())
    assert len(everything) == 160
    days = [Selection(parse_interval(f"2026-11-{day}")) for day in (21, 22, 23)]
    assert sorted(path for day in days for path in found(tmp_path, day)) == everything


def test_a_folder_that_may_not_be_listed_is_told_and_ends_no_search(tmp_path):
    class Closed(Local):
        def level(self, folder):
            if folder.endswith("/secret"):
                raise CannotList(f"folder {folder} cannot be listed: Permission denied", denied=True)
            return super().level(folder)

    put(tmp_path, key(NOON), "secret/x_20261122T1205Z_.log")
    assert listing_of(tmp_path, DAY, Closed()) == ([key(NOON)], ["secret"])


def test_where_only_awslogs_may_be_listed_it_is_read_and_the_rest_is_told(tmp_path):
    class Closed(Local):
        def level(self, folder):
            if folder == str(tmp_path):
                raise CannotList(f"folder {folder} cannot be listed: Permission denied", denied=True)
            return super().level(folder)

    put(tmp_path, key(NOON), "other/x.log")
    assert listing_of(tmp_path, DAY, Closed()) == ([key(NOON)], ["."])
    shutil.rmtree(tmp_path / "AWSLogs")
    with pytest.raises(InputError, match="cannot be listed: Permission denied"):
        listing_of(tmp_path, DAY, Closed())


@pytest.mark.parametrize(
    "link",
    ["latest", "AWSLogs/000000000007", "AWSLogs/123456789010/vpcflowlogs/zz-west-9", "team-a/AWSLogs", "aaa"],
)
def test_days_add_up_to_the_whole_where_links_lead_to_the_same_folders(tmp_path, link):
    put(tmp_path, *(key(NOON + timedelta(days=days)) for days in (-1, 0, 1)), f"other/{key(NOON, account='000000000001')}")
    target = {
        "latest": "AWSLogs/123456789010/vpcflowlogs/eu-west-1/2026/11/22",
        "AWSLogs/000000000007": "other/AWSLogs/000000000001",
        "AWSLogs/123456789010/vpcflowlogs/zz-west-9": "AWSLogs/123456789010/vpcflowlogs/eu-west-1",
        "team-a/AWSLogs": "AWSLogs",
        "aaa": ".",
    }[link]
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / target)
    everything = found(tmp_path, Selection())
    assert len(everything) == 4
    assert not [path for path in everything if f"/{link}/" in path]  # real names go first
    days = [Selection(parse_interval(f"2026-11-{day}")) for day in (21, 22, 23)]
    assert sorted(path for day in days for path in found(tmp_path, day)) == everything
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path)
    relative = [os.path.relpath(path, tmp_path) for path in everything]
    root = f"{tmp_path}-link"
    assert sorted(path for day in days for path in found(root, day)) == [f"{root}/{path}" for path in relative]


def test_an_hour_of_a_daily_folder_lists_the_day_once(tmp_path):
    put(tmp_path, *(key(NOON + timedelta(minutes=5 * n)) for n in range(60)))
    storage = Counted()
    assert len(found(tmp_path, Selection(parse_interval("2026-11-22T12")), storage)) == 11
    assert storage.asked.count(f"{tmp_path}/{Path(key(NOON)).parent}") == 1


def test_a_file_without_a_time_in_a_days_folder_is_taken_by_the_day_and_an_error_for_an_hour(tmp_path):
    put(tmp_path, key(NOON), str(Path(key(NOON)).with_name("history.log")))
    assert len(found(tmp_path, Selection(parse_interval("2026-11-22")))) == 2
    with pytest.raises(InputError, match=r"history\.log does not tell its time"):
        found(tmp_path, Selection(parse_interval("2026-11-22T12")))


def test_files_outside_aws_s_layout_are_taken_by_the_time_in_their_name(tmp_path):
    put(tmp_path, "a/flows_20261122T0515Z.log", "b/c/flows_20261122T0615Z.log", "flows_20261123T0515Z.log")
    assert found(tmp_path, Selection(parse_interval("2026-11-22T06"))) == [f"{tmp_path}/b/c/flows_20261122T0615Z.log"]
    put(tmp_path, "flows.log")
    with pytest.raises(InputError, match="does not tell its time"):
        found(tmp_path, Selection(parse_interval("2026-11-22T06")))


def test_hidden_folders_are_left_out_under_an_interval_too(tmp_path):
    put(tmp_path, key(NOON, hourly="_old/"), str(Path(key(NOON)).with_name(".hidden_20261122T1200Z_")))
    assert found(tmp_path, Selection(parse_interval("2026-11-22"))) == []


def test_what_is_there_is_told_to_who_finds_nothing(tmp_path):
    put(tmp_path, key(NOON), key(NOON - timedelta(days=9), region="us-east-1"), key(NOON, HIVE, account="000000000007"))
    assert Listing(Local(), str(tmp_path)).what_is_there() == (
        "account(s) 000000000007, 123456789010, region(s) eu-west-1, us-east-1, Hive-compatible and plain folders, "
        "newest day 2026-11-22"
    )
    put(tmp_path / "elsewhere", "old/x.log", "a.log")
    assert Listing(Local(), f"{tmp_path}/elsewhere").what_is_there() == "a.log, old/, and no folder AWSLogs"
    assert Listing(Local(), f"{tmp_path}/none").what_is_there() == "nothing, and no folder AWSLogs"
    put(tmp_path / "trail", "AWSLogs/1/CloudTrail/x.log")
    assert Listing(Local(), f"{tmp_path}/trail").what_is_there() == "no flow logs in its AWSLogs"


def test_of_very_much_that_was_not_searched_a_thousand_entries_are_kept():
    names = [f"/logs/{n:04}" for n in range(1234)]
    assert shortened(names[:1000][::-1]) == tuple(names[:1000])
    assert shortened(names) == (*names[:1000], "… and 234 more")


def test_what_was_not_searched_is_a_warning_of_the_report():
    summary = {"late_files": [], "books": {"skipdata": 0, "rejected": 0, "files_skipped": 0}, "bad_files": [],
               "layouts": [], "unknown_fields": [], "flows_without_ports": 0,
               "lookup": {"mappings": 1, "conflicts": []}}  # fmt: skip
    assert list(warnings(summary)) == list(warnings(summary | {"not_searched": []})) == []
    (message,) = warnings(summary | {"not_searched": [f"/logs/{n}" for n in range(7)]})
    assert message == (
        "files of the run may be missing: folders that were not searched, or files whose names do not tell what the run "
        "asks for; the first: /logs/0, /logs/1, /logs/2, /logs/3, /logs/4; give those that matter as an --input of their "
        "own"
    )


def test_few_of_many_are_named():
    keys = [f"/AWSLogs/{n}/vpcflowlogs/r/2026/11/0{n}/" for n in range(1, 8)]
    assert describe_keys(keys) == "account(s) 1, 2, 3, 4, 5 and 2 more, region(s) r, plain folders, newest day 2026-11-07"


def test_a_million_log_files_are_small():
    assert not hasattr(LogFile("a", 1), "__dict__")


@pytest.mark.parametrize("value", ["", "12*", "a/b", "{1,2}", "[0-9]", "eu_west_1"])
def test_a_filter_that_no_key_can_hold_is_wrong_usage(value):
    with pytest.raises(UsageError, match="cannot be part of AWS's keys") as caught:
        select(None, (), (value,), ())
    assert str(caught.value).startswith(f"region '{value}' ")

"""The settings of a run: defaults, then the TOML file, then the flags; and what cannot be a setting."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest

from flowspark.errors import UsageError
from flowspark.settings import LISTS, NAMES, SETTINGS_TYPE, SWITCHES, Settings, load_settings, settings_from_text

NEEDED = {"input": ["logs"], "lookup": "tags.csv", "output": "out"}
NEEDED_TOML = "input = 'logs'\nlookup = 'tags.csv'\noutput = 'out'\n"


@pytest.fixture
def config(tmp_path):
    """Writes a TOML file, and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "job.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def refusal(flags: dict[str, object], path: str | None = None) -> str:
    """The message that settings are refused with."""
    with pytest.raises(UsageError) as caught:
        load_settings(flags, path)
    assert caught.value.exit_code == 2
    return str(caught.value)


# Defaults < TOML < flags


def test_what_is_not_given_has_the_documented_defaults():
    settings = load_settings(NEEDED)
    assert settings == Settings(
        input=("logs",),
        lookup="tags.csv",
        output="out",
        output_format="csv",
        layout=None,
        reader="auto",
        on_bad_file="fail",
        max_reject_ratio=Decimal("0.01"),
        on_conflict="all",
        interval=None,
        account=(),
        region=(),
        flow_log_id=(),
        allow_empty=False,
        skip_unchanged=False,
        retag=False,
        replace=False,
        shared_filesystem=False,
        log_level="INFO",
        log_format="text",
    )


OTHERS = [
    # name, in TOML, what that means, as a flag, what that means
    ("input", "['a', 'b']", ("a", "b"), ["c"], ("c",)),
    ("lookup", "'a.csv'", "a.csv", "b.csv", "b.csv"),
    ("output", "'a'", "a", "b", "b"),
    ("output_format", "'parquet'", "parquet", "csv", "csv"),
    ("layout", "'v3'", "v3", "v5", "v5"),
    ("reader", "'spark'", "spark", "direct", "direct"),
    ("on_bad_file", "'skip'", "skip", "fail", "fail"),
    ("max_reject_ratio", "0.5", Decimal("0.5"), "0.25", Decimal("0.25")),
    ("on_conflict", "'first'", "first", "last", "last"),
    ("interval", "'2026-11-22'", "2026-11-22", "2026-11-22T05", "2026-11-22T05"),
    ("account", "['1', '2']", ("1", "2"), ["3"], ("3",)),
    ("region", "'eu-west-1'", ("eu-west-1",), ["eu-west-2"], ("eu-west-2",)),
    ("flow_log_id", "['fl-1']", ("fl-1",), ["fl-2", "fl-3"], ("fl-2", "fl-3")),
    ("allow_empty", "true", True, False, False),
    ("skip_unchanged", "true", True, False, False),
    ("retag", "false", False, False, False),
    ("replace", "true", True, False, False),
    ("shared_filesystem", "true", True, False, False),
    ("log_level", "'DEBUG'", "DEBUG", "ERROR", "ERROR"),
    ("log_format", "'json'", "json", "text", "text"),
]


def test_every_setting_is_tried_in_both_places():
    assert [name for name, *_ in OTHERS] == list(NAMES)


@pytest.mark.parametrize(("name", "text", "from_file", "flag", "from_flag"), OTHERS)
def test_the_file_wins_over_the_defaults_and_a_flag_over_the_file(config, name, text, from_file, flag, from_flag):
    path = config(f"{name} = {text}\n")
    needed = {key: value for key, value in NEEDED.items() if key != name}
    assert getattr(load_settings(needed, path), name) == from_file
    assert getattr(load_settings(needed | {name: None}, path), name) == from_file
    assert getattr(load_settings(needed | {name: flag}, path), name) == from_flag


def test_a_flag_changes_nothing_but_its_own_setting(config):
    path = config(NEEDED_TOML + "reader = 'spark'\nlayout = 'tgw'\n")
    settings = load_settings({"output": "elsewhere", "reader": None}, path)
    assert settings == Settings(("logs",), "tags.csv", "elsewhere", reader="spark", layout="tgw")


def test_inputs_as_flags_replace_those_of_the_file_and_are_not_added(config):
    settings = load_settings({"input": ["c"]}, config(NEEDED_TOML.replace("'logs'", "['a', 'b']")))
    assert settings.input == ("c",)


def test_the_flags_and_what_they_hold_are_left_as_they_were(config):
    flags = {"input": ["logs"], "lookup": "tags.csv", "output": "out", "reader": None, "layout": None}
    load_settings(flags, config("reader = 'spark'\n"))
    assert flags == {"input": ["logs"], "lookup": "tags.csv", "output": "out", "reader": None, "layout": None}


# Values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'logs'", ("logs",)),
        ("['logs']", ("logs",)),
        ("['b', 'a', 'b']", ("b", "a", "b")),
        ("'s3://bucket/a b,c'", ("s3://bucket/a b,c",)),
    ],
)
def test_an_input_in_toml_is_a_text_or_a_list_of_texts(config, text, expected):
    path = config(f"input = {text}\nlookup = 'tags.csv'\noutput = 'out'\n")
    assert load_settings({}, path).input == expected


@pytest.mark.parametrize(
    "text", ["0", "1", "0.0", "1.0", "0.01", "0.010", "1e-3", "0.1000000000000000055", "0.3333333333333333333"]
)
def test_the_ratio_is_kept_as_the_decimal_written(config, text):
    from_file = load_settings(NEEDED, config(f"max_reject_ratio = {text}\n")).max_reject_ratio
    from_flag = load_settings(NEEDED | {"max_reject_ratio": text}).max_reject_ratio
    for ratio in (from_file, from_flag):
        assert isinstance(ratio, Decimal)
        assert str(ratio) == str(Decimal(text))


def test_the_ratio_has_no_binary_rounding(config):
    ratio = load_settings(NEEDED, config("max_reject_ratio = 0.1\n")).max_reject_ratio
    assert ratio * 10 == 1
    assert ratio * 3 == Decimal("0.3")


@pytest.mark.parametrize(
    "text", ["-0.01", "1.01", "2", "-1", "nan", "inf", "-inf", "1.0000000000000000000000001", "-1e-30"]
)
def test_a_ratio_outside_0_to_1_is_wrong_usage(config, text):
    from_file = refusal(NEEDED, config(f"max_reject_ratio = {text}\n"))
    from_flag = refusal(NEEDED | {"max_reject_ratio": text})
    for message in (from_file, from_flag):
        assert message.startswith("max_reject_ratio is a share from 0 to 1, not ")


@pytest.mark.parametrize("text", ["1%", "a tenth", "0,01", "1/100", "sNaN", "1e9999999999999999999"])
def test_a_ratio_that_is_no_number_is_wrong_usage(text):
    message = refusal(NEEDED | {"max_reject_ratio": text})
    assert message == f"max_reject_ratio is a share from 0 to 1, not {text}"


@pytest.mark.parametrize("text", ["true", "false", "[0.1]", "{share = 0.1}", "2026-11-22"])
def test_a_ratio_of_the_wrong_type_is_wrong_usage(config, text):
    message = refusal(NEEDED, config(f"max_reject_ratio = {text}\n"))
    assert message.startswith("max_reject_ratio is a share from 0 to 1, not ")


@pytest.mark.parametrize("level", ["debug", "DEBUG", "Debug"])
def test_the_log_level_is_taken_in_any_case(level):
    assert load_settings(NEEDED | {"log_level": level}).log_level == "DEBUG"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("output_format", "parket", "output_format is one of csv, parquet, not 'parket' (did you mean parquet?)"),
        ("output_format", "json", "output_format is one of csv, parquet, not 'json'"),
        ("output_format", "CSV", "output_format is one of csv, parquet, not 'CSV'"),
        ("reader", "sprak", "reader is one of auto, direct, spark, not 'sprak' (did you mean spark?)"),
        ("on_bad_file", "skipp", "on_bad_file is one of fail, skip, not 'skipp' (did you mean skip?)"),
        ("on_bad_file", "ignore", "on_bad_file is one of fail, skip, not 'ignore'"),
        ("on_conflict", "frist", "on_conflict is one of all, first, last, error, not 'frist' (did you mean first?)"),
        ("on_conflict", "none", "on_conflict is one of all, first, last, error, not 'none'"),
        ("log_level", "warn", "log_level is one of DEBUG, INFO, WARNING, ERROR, not 'WARN' (did you mean WARNING?)"),
        ("log_level", "loud", "log_level is one of DEBUG, INFO, WARNING, ERROR, not 'LOUD'"),
    ],
)
def test_a_value_that_is_not_among_the_choices_is_wrong_usage(config, name, value, message):
    assert refusal(NEEDED | {name: value}) == message
    assert refusal(NEEDED, config(f"{name} = '{value}'\n")) == message


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("v6", "unknown layout 'v6'"),
        ("lgo-status", "unknown layout 'lgo-status' (did you mean log-status?)"),
        ("srcport bytes", "the layout has neither log-status nor both dstport and protocol"),
    ],
)
def test_a_layout_that_cannot_be_is_wrong_usage(config, layout, message):
    assert refusal(NEEDED | {"layout": layout}).startswith(message)
    assert refusal(NEEDED, config(f"layout = '{layout}'\n")).startswith(message)


@pytest.mark.parametrize("layout", ["v2", "tgw", "${dstport} ${protocol}", "dstport protocol log_status new-field"])
def test_a_layout_is_kept_as_it_was_given(layout):
    assert load_settings(NEEDED | {"layout": layout}).layout == layout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lookup = 5", "lookup is a text, not 5"),
        ("lookup = ['tags.csv']", "lookup is a text, not ['tags.csv']"),
        ("output = true", "output is a text, not True"),
        ("output_format = ['csv']", "output_format is a text, not ['csv']"),
        ("layout = ['dstport', 'protocol']", "layout is a text, not ['dstport', 'protocol']"),
        ("reader = 1", "reader is a text, not 1"),
        ("on_bad_file = false", "on_bad_file is a text, not False"),
        ("on_conflict = {all = 1}", "on_conflict is a text, not {'all': 1}"),
        ("log_level = 20", "log_level is a text, not 20"),
        ("input = 5", "input is a text, or a list of texts"),
        ("input = [5]", "input is a text, or a list of texts"),
        ("input = ['logs', 5]", "input is a text, or a list of texts"),
        ("input = [['logs']]", "input is a text, or a list of texts"),
        ("input = {logs = 'x'}", "input is a text, or a list of texts"),
    ],
)
def test_a_value_of_the_wrong_type_is_wrong_usage(config, text, message):
    name = text.split()[0]
    assert refusal({key: value for key, value in NEEDED.items() if key != name}, config(text)) == message


EMPTY = {
    "input": "a log file or a folder",
    "lookup": "the lookup table, a CSV file",
    "output": "the folder for the results",
    "output_format": "one of csv, parquet",
    "layout": "the field names in order, or the name of a layout such as v2",
    "reader": "one of auto, direct, spark",
    "on_bad_file": "one of fail, skip",
    "max_reject_ratio": "a share from 0 to 1",
    "on_conflict": "one of all, first, last, error",
    "interval": "a UTC day (2026-11-22) or hour (2026-11-22T05), or leave it out to count all files",
    "account": "an account id, or leave it out to take all accounts",
    "region": "a region, or leave it out to take all regions",
    "flow_log_id": "a flow log id, or leave it out to take all flow logs",
    "log_level": "one of DEBUG, INFO, WARNING, ERROR",
    "log_format": "one of text, json",
}


def test_every_setting_that_is_a_text_is_tried_empty():
    assert set(EMPTY) == set(NAMES) - set(SWITCHES)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_setting_is_refused_with_what_to_give(config, name, blank):
    """An unset variable of the shell, or an empty template of a scheduler, must not count all of history."""
    message = f"{name} is empty, as it is when a variable is not set; give {EMPTY[name]}"
    others = {key: value for key, value in NEEDED.items() if key != name}
    assert refusal(others | {name: blank}) == message
    assert refusal(others, config(f"{name} = '{blank}'\n")) == message
    if name in LISTS:
        assert refusal(others | {name: ["x", blank]}) == message
        assert refusal(others, config(f"{name} = ['x', '{blank}']\n")) == message


def test_settings_made_in_python_are_not_empty_either():
    with pytest.raises(UsageError, match="interval is empty"):
        Settings(("logs",), "tags.csv", "out", interval="")


# Tagging again

USELESS = {
    "input": ["logs"],
    "account": ["1"],
    "region": ["eu-west-1"],
    "flow_log_id": ["fl-1"],
    "layout": "v2",
    "reader": "direct",
    "on_bad_file": "skip",
    "allow_empty": True,
    "skip_unchanged": True,
    "replace": True,
}
RETAG = {"lookup": "tags.csv", "output": "out", "retag": True}


@pytest.mark.parametrize("name", USELESS)
def test_a_flag_that_cannot_apply_to_a_stored_scan_is_refused(config, name):
    flag = f"--{name.replace('_', '-')}"
    for flags, path in ((RETAG, None), ({"lookup": "tags.csv", "output": "out"}, config("retag = true\n"))):
        assert refusal(flags | {name: USELESS[name]}, path).startswith(f"{flag} cannot be used with --retag")


def test_a_config_file_of_a_run_from_logs_serves_to_tag_again(config):
    text = "input = 'logs'\naccount = ['1']\non_bad_file = 'skip'\nskip_unchanged = true\n"
    settings = load_settings(RETAG, config(text))
    assert (settings.retag, settings.input, settings.account) == (True, ("logs",), ("1",))


def test_the_reject_limit_of_a_run_that_tags_again_is_its_own_or_that_of_the_stored_run(config):
    assert load_settings(RETAG).max_reject_ratio is None
    assert load_settings(RETAG | {"max_reject_ratio": "0"}).max_reject_ratio == 0
    assert load_settings(RETAG, config("max_reject_ratio = 0.5\n")).max_reject_ratio == Decimal("0.5")


# The summary's settings


def test_settings_are_read_back_from_their_text_and_what_is_missing_there_is_the_default():
    settings = Settings(
        ("a", "b"), "tags.csv", "out", layout="v3", max_reject_ratio=Decimal("0.10"), account=("1",), retag=True
    )
    text = json.loads(json.dumps(settings.as_text()))
    assert settings_from_text(text) == settings
    del text["account"], text["max_reject_ratio"], text["replace"]
    older = settings_from_text(text | {"a_setting_of_a_later_version": 1})
    assert older == dataclasses.replace(settings, account=(), max_reject_ratio=Decimal("0.01"))


def test_the_type_of_the_settings_in_the_summary_has_every_setting():
    names = [part.split(":")[0].strip() for part in SETTINGS_TYPE.removeprefix("struct<").split(", ")]
    assert names == [field.name for field in dataclasses.fields(Settings)] == list(Settings(("a",), "b", "c").as_text())


# What must be there


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ({}, "--input, --lookup, --output"),
        ({"input": ["logs"]}, "--lookup, --output"),
        ({"input": ["logs"], "output": "out"}, "--lookup"),
        ({"lookup": "tags.csv", "output": "out"}, "--input"),
        ({"input": ["logs"], "lookup": "tags.csv", "output": None}, "--output"),
        ({"input": [], "lookup": "tags.csv", "output": "out"}, "--input"),
    ],
)
def test_without_an_input_a_lookup_or_an_output_all_that_is_missing_is_named(flags, missing):
    assert refusal(flags) == f"{missing} is missing; give it as a flag or in the --config file"


@pytest.mark.parametrize("text", ["", "# nothing\n", "reader = 'spark'\n"])
def test_a_file_that_lacks_them_does_not_help(config, text):
    assert refusal({}, config(text)).startswith("--input, --lookup, --output is missing")


def test_what_the_flags_lack_may_be_in_the_file(config):
    assert load_settings({"output": "out"}, config("input = 'logs'\nlookup = 'tags.csv'\n")) == load_settings(NEEDED)


# The file


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("lokup", " (did you mean lookup?)"),
        ("inputs", " (did you mean input?)"),
        ("max-reject-ratio", " (did you mean max_reject_ratio?)"),
        ("on_badfile", " (did you mean on_bad_file?)"),
        ("config", ""),
        ("zzz", ""),
    ],
)
def test_an_unknown_key_is_wrong_usage_with_a_hint(config, key, hint):
    path = config(f"{NEEDED_TOML}{key} = 'x'\n")
    keys = ", ".join(NAMES)
    assert refusal({}, path) == f"config file {path}: unknown key {key}{hint}; keys: {keys}"


def test_a_table_is_an_unknown_key(config):
    path = config(f"{NEEDED_TOML}[job]\nreader = 'spark'\n")
    assert refusal({}, path).startswith(f"config file {path}: unknown key job; keys: input, lookup, output")


def test_a_file_that_is_missing_is_wrong_usage(tmp_path):
    path = str(tmp_path / "none.toml")
    assert refusal(NEEDED, path) == f"config file {path} cannot be read: No such file or directory; check the path"


def test_a_folder_for_a_file_is_wrong_usage(tmp_path):
    path = str(tmp_path)
    assert refusal(NEEDED, path) == f"config file {path} cannot be read: Is a directory; check the path"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"input = \n", id="no value"),
        pytest.param(b"input: logs\n", id="YAML"),
        pytest.param(b"input = logs\n", id="no quotes"),
        pytest.param(b'input = "logs\n', id="an open quote"),
        pytest.param(b'reader = "spark"\nreader = "auto"\n', id="a key twice"),
        pytest.param(b"max_reject_ratio = .5\n", id="a number that is none in TOML"),
        pytest.param(b"input = 'caf\xe9'\n", id="not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_is_wrong_usage(tmp_path, content):
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    assert refusal(NEEDED, str(path)).startswith(f"config file {path} is not TOML: ")


def test_the_file_is_read_as_utf8(tmp_path):
    path = tmp_path / "jöb.toml"
    path.write_bytes("input = 'prüfung/日'\n".encode())
    assert load_settings({"lookup": "l", "output": "o"}, str(path)).input == ("prüfung/日",)


def test_paths_in_the_file_stay_as_written(config):
    path = config("input = 'logs/../more/'\nlookup = 's3://bucket/tags.csv'\noutput = './~/out'\n")
    settings = load_settings({}, path)
    assert settings == Settings(("logs/../more/",), "s3://bucket/tags.csv", "./~/out")

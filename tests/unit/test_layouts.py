"""Which layout a file has: header lines, default formats, and layouts that a person gives."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flowspark.errors import BadFile, InputError, UsageError
from flowspark.layouts import (
    SHORT_NAMES,
    check_countable,
    countable,
    default_layout,
    header_layout,
    headerless_layout,
    parse_layout,
    repeated_fields,
    split_line,
)
from flowspark.report import warnings

V2 = tuple(
    """version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action
    log-status""".split()
)
V3 = (*V2, *"vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr".split())
V4 = (*V3, *"region az-id sublocation-type sublocation-id".split())
V5 = (*V4, *"pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path".split())
TGW = tuple(
    """version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id
    tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id
    tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status
    type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags
    region flow-direction pkt-src-aws-service pkt-dst-aws-service""".split()
)
RECORD = b"2 123456789010 eni-0a 10.0.0.1 10.0.0.2 49153 443 6 10 840 1700000000 1700000060 ACCEPT OK"
TGW_RECORD = b" ".join([b"6", *[b"-"] * 24, b"OK", *[b"-"] * 10])


# Lines


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b"a b", [b"a", b"b"]),
        (b" \ta \t b\t", [b"a", b"b"]),
        (b"", []),
        (b" \t", []),
        (b"a\rb \x0b \x00 \xc2\xa0", [b"a\rb", b"\x0b", b"\x00", b"\xc2\xa0"]),
    ],
)
def test_rule_3_values_are_separated_by_spaces_and_tabs_alone(line, values):
    assert split_line(line) == values


# Headers


@pytest.mark.parametrize(
    ("line", "layout"),
    [
        pytest.param(" ".join(V2).encode(), V2, id="version 2"),
        pytest.param(" ".join(V5).encode(), V5, id="version 5"),
        pytest.param(" ".join(TGW).encode(), TGW, id="Transit Gateway"),
        pytest.param(b"log-status", ("log-status",), id="one field"),
        pytest.param(b" \tdstport\t protocol  ", ("dstport", "protocol"), id="blanks"),
        pytest.param(b"srcport bytes", ("srcport", "bytes"), id="a header all the same, though it cannot be counted"),
        pytest.param(b"dstport protocol new-field", ("dstport", "protocol", "new-field"), id="two of three are known"),
        pytest.param(
            b"a1 dstport b-2- protocol log-status", ("a1", "dstport", "b-2-", "protocol", "log-status"), id="3 of 5"
        ),
        pytest.param(b"dstport protocol dstport", ("dstport", "protocol", "dstport"), id="a field twice"),
        pytest.param(
            b"account-id dstport account-id protocol account-id",
            ("account-id", "dstport", "account-id", "protocol", "account-id"),
            id="three different known fields of five values",
        ),
        pytest.param(
            b"dstport protocol new-field new-field log-status",
            ("dstport", "protocol", "new-field", "new-field", "log-status"),
            id="an unknown field twice",
        ),
    ],
)
def test_a_header_is_names_and_its_different_known_fields_are_more_than_half_of_its_values(line, layout):
    assert header_layout(line) == layout


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \t ", id="blanks"),
        pytest.param(RECORD, id="a record"),
        pytest.param(TGW_RECORD, id="a Transit Gateway record"),
        pytest.param(b"dstport new-field", id="only half are known"),
        pytest.param(b"dstport protocol new-one new-two", id="half of four"),
        pytest.param(b"hello world", id="names, but none is known"),
        pytest.param(b"start start start", id="one known field three times"),
        pytest.param(b"dstport dstport", id="one known field twice"),
        pytest.param(b"dstport protocol dstport protocol", id="two different known fields of four values"),
        pytest.param(b"dstport protocol new-field new-field", id="two known fields of four, and an unknown one twice"),
        pytest.param(b"DSTPORT PROTOCOL", id="upper case"),
        pytest.param(b"dstport Protocol log-status", id="a capital letter"),
        pytest.param(b"dstport protocol log_status", id="an underscore"),
        pytest.param(b"dstport protocol 2nd", id="a digit first"),
        pytest.param(b"-dstport protocol log-status", id="a hyphen first"),
        pytest.param(b"dstport,protocol,log-status", id="commas"),
        pytest.param(b"${dstport} ${protocol}", id="AWS's own notation is for --layout"),
        pytest.param(b"dstport protocol \xc3\xa9", id="not ASCII"),
        pytest.param(b"\xc3\xa9 dstport protocol", id="not ASCII at the start"),
        pytest.param(b"dstport protocol \xff", id="not UTF-8"),
        pytest.param(b"dstport protocol\x0b", id="a vertical tab is data"),
        pytest.param(b"dstport protocol log-status -", id="a missing value"),
    ],
)
def test_any_other_line_is_no_header(line):
    assert header_layout(line) is None


# Default formats


def test_a_record_of_version_2_has_14_values_begins_with_2_and_ends_with_a_status():
    assert default_layout(RECORD) == V2


@pytest.mark.parametrize("status", [b"OK", b"NODATA", b"SKIPDATA"])
def test_each_valid_status_makes_a_default_format(status):
    assert default_layout(RECORD.replace(b"OK", status)) == V2
    assert default_layout(TGW_RECORD.replace(b"OK", status)) == TGW


def test_blanks_do_not_matter_to_a_default_format():
    assert default_layout(b"\t " + RECORD.replace(b" ", b" \t ") + b"  ") == V2


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(RECORD + b" vpc-0a", id="15 values"),
        pytest.param(RECORD.replace(b" ACCEPT", b""), id="13 values"),
        pytest.param(b"3" + RECORD[1:], id="another version"),
        pytest.param(b"02" + RECORD[1:], id="a version that is spelled otherwise"),
        pytest.param(RECORD.replace(b"OK", b"ok"), id="a status in lower case"),
        pytest.param(RECORD.replace(b"OK", b"-"), id="no status"),
        pytest.param(RECORD.replace(b"ACCEPT OK", b"OK ACCEPT"), id="a status in another place"),
        pytest.param(b"6" + RECORD[1:], id="version 6 with 14 values"),
        pytest.param(b"2" + TGW_RECORD[1:], id="version 2 with 36 values"),
        pytest.param(TGW_RECORD + b" -", id="37 values"),
        pytest.param(TGW_RECORD[:-2], id="35 values"),
        pytest.param(TGW_RECORD.replace(b"- OK -", b"OK - -"), id="a Transit Gateway status one place too early"),
        pytest.param(b"\xff" + RECORD[1:], id="not UTF-8"),
    ],
)
def test_a_record_in_any_other_format_is_not_guessed(line):
    assert default_layout(line) is None


# Layouts that are given


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("v2", 14),
        ("v3", 21),
        ("v4", 25),
        ("v5", 29),
        ("v7", 39),
        ("v8", 40),
        ("v9", 41),
        ("v10", 42),
        ("v11", 54),
        ("tgw", 36),
    ],
)
def test_a_short_name_stands_for_so_many_fields(name, fields):
    layout = parse_layout(name)
    assert len(layout) == len(set(layout)) == fields


def test_there_are_ten_short_names():
    assert list(SHORT_NAMES) == ["v2", "v3", "v4", "v5", "tgw", "v7", "v8", "v9", "v10", "v11"]


@pytest.mark.parametrize(("name", "layout"), [(" v2 ", V2), ("v3", V3), ("v4", V4), ("v5", V5), ("tgw", TGW)])
def test_a_short_name_stands_for_the_fields_in_the_order_of_aws(name, layout):
    assert parse_layout(name) == layout


def test_a_later_version_goes_on_where_the_one_before_ends():
    names = ["v2", "v3", "v4", "v5", "v7", "v8", "v9", "v10", "v11"]
    for shorter, longer in pairwise(names):
        assert parse_layout(longer)[: len(parse_layout(shorter))] == parse_layout(shorter)
    assert parse_layout("v8")[-1] == "reject-reason"
    assert parse_layout("v9")[-1] == "resource-id"
    assert parse_layout("v10")[-1] == "encryption-status"


PORTS_AND_STATUS = ("dstport", "protocol", "log-status")


@pytest.mark.parametrize(
    "text",
    [
        "dstport protocol log-status",
        "dstport protocol log_status",
        "  dstport\tprotocol \n log-status ",
        "${dstport} ${protocol} ${log-status}",
        "${dstport} ${protocol} ${log_status}",
        "${dstport}${protocol}${log-status}",
        "${ dstport } ${protocol}\t${log-status}",
        "$${dstport} $${protocol} $${log-status}",
        "$${dstport}$${protocol}${log_status}",
        "dstport ${protocol} log_status",
    ],
)
def test_fields_are_named_with_hyphens_or_underscores_or_as_aws_or_terraform_writes_them(text):
    assert parse_layout(text) == PORTS_AND_STATUS


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("log-status", ("log-status",)),
        ("${log_status}", ("log-status",)),
        ("protocol dstport", ("protocol", "dstport")),
        ("new-field new_one log-status", ("new-field", "new-one", "log-status")),
        ("pkt_src_aws_service instance-tag-2 log-status", ("pkt-src-aws-service", "instance-tag-2", "log-status")),
        ("dstport protocol dstport", ("dstport", "protocol", "dstport")),
        ("log-status bytes log_status $${bytes}", ("log-status", "bytes", "log-status", "bytes")),
        ("new-field log-status new_field", ("new-field", "log-status", "new-field")),
    ],
)
def test_a_layout_keeps_its_order_repeated_fields_and_fields_that_are_not_known(text, layout):
    assert parse_layout(text) == layout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the layout is empty; give the field names in order, or one of v2, v3, v4, v5, tgw, v7, v8, v9, v10, v11"),
        (" \t", "the layout is empty"),
        ("${}", "the layout is empty"),
        ("v6", "unknown layout 'v6'; give the field names in order, or one of v2, v3, v4, v5, tgw, v7"),
        ("v1", "unknown layout 'v1'"),
        ("v12", "unknown layout 'v12' (did you mean v2?)"),
        ("tgww", "unknown layout 'tgww' (did you mean tgw?)"),
        ("lgo-status", "unknown layout 'lgo-status' (did you mean log-status?)"),
        ("dstport,protocol", "unknown layout 'dstport,protocol'"),
        ("dstport, protocol", "'dstport,' in the layout is not a field name (did you mean dstport?)"),
        ("DSTPORT protocol", "'DSTPORT' in the layout is not a field name (did you mean dstport?)"),
        ("dstport ${protocol", "'${protocol' in the layout is not a field name (did you mean protocol?)"),
        ("log-status 2x", "'2x' in the layout is not a field name"),
        ("log-status -", "'-' in the layout is not a field name"),
        ("log-status é", "'é' in the layout is not a field name"),
        ("$$dstport protocol", "'$$dstport' in the layout is not a field name (did you mean dstport?)"),
        ("$$${dstport} protocol", "'$' in the layout is not a field name"),
        ("dstport dstport", "the layout has neither log-status nor both dstport and protocol"),
        ("srcport bytes", "the layout has neither log-status nor both dstport and protocol"),
        ("dstport bytes", "the layout has neither log-status nor both dstport and protocol"),
        ("protocol", "the layout has neither log-status nor both dstport and protocol"),
    ],
)
def test_a_layout_that_cannot_be_is_wrong_usage(text, message):
    with pytest.raises(UsageError) as caught:
        parse_layout(text)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("layout", "repeated"),
    [
        (V2, []),
        (("log-status",), []),
        (("dstport", "protocol", "dstport"), ["dstport"]),
        (("bytes", "new-field", "log-status", "new-field", "bytes", "bytes"), ["bytes", "new-field"]),
    ],
)
def test_the_repeated_fields_of_a_layout_are_named_once_each(layout, repeated):
    assert repeated_fields(layout) == repeated


def test_a_run_warns_of_layouts_that_name_a_field_more_than_once():
    none = dict.fromkeys(["late_files", "bad_files", "unknown_fields", "flows_without_ports"])
    counts = {"skipdata": 0, "rejected": 0, "files_skipped": 0}
    layouts = [
        {"layout": "account-id dstport protocol account-id bytes bytes", "files": 1200},
        {"layout": " ".join(V2), "files": 3},
    ]
    summary = none | {"books": counts, "lookup": {"mappings": 1, "conflicts": []}, "layouts": layouts, "bad_files": []}
    assert list(warnings(summary)) == [
        "1,200 file(s) have a layout that names account-id, bytes more than once: the first column of a repeated field "
        "counts, and the others are ignored"
    ]


# Rule 10: a layout must tell what is a flow


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (("log-status",), True),
        (("dstport", "protocol"), True),
        (("protocol", "bytes", "dstport"), True),
        (("bytes", "log-status"), True),
        (("dstport",), False),
        (("protocol", "srcport"), False),
        (("action", "bytes"), False),
        ((), False),
    ],
)
def test_rule_10_a_layout_needs_a_status_or_both_port_and_protocol(layout, expected):
    assert countable(layout) is expected


def test_rule_10_a_header_that_cannot_be_counted_makes_a_bad_file():
    assert check_countable(PORTS_AND_STATUS) == PORTS_AND_STATUS
    with pytest.raises(BadFile, match="layout 'srcport bytes' has neither log-status nor both dstport and protocol"):
        check_countable(("srcport", "bytes"))


# Files without a header


def test_a_given_layout_speaks_for_a_file_without_a_header():
    assert headerless_layout(b"443 6 OK", PORTS_AND_STATUS) == PORTS_AND_STATUS
    assert headerless_layout(RECORD, PORTS_AND_STATUS) == PORTS_AND_STATUS


@pytest.mark.parametrize(("record", "layout"), [(RECORD, V2), (TGW_RECORD, TGW)])
def test_without_a_given_layout_a_default_format_is_recognised(record, layout):
    assert headerless_layout(record, None) == layout


@pytest.mark.parametrize(
    ("line", "count"), [(b"443 6 OK", 3), (RECORD + b" vpc-0a", 15), (RECORD.replace(b"OK", b"-"), 14)]
)
def test_rule_10_a_file_without_a_layout_is_bad(line, count):
    with pytest.raises(BadFile) as caught:
        headerless_layout(line, None)
    assert str(caught.value) == (
        f"no layout: the file has no header, and its first line ({count} value(s)) is in no default format of AWS; "
        "give --layout for files without a header, or leave the file out of the input"
    )
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 3

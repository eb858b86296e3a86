"""The lookup table: what is read from it, what is refused and where, and which tags a key keeps."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import sys
import time
import unicodedata
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from flowspark.errors import InputError, UsageError
from flowspark.lookup import Lookup, parse_lookup
from flowspark.lookup_cells import ODD_BLANKS

HEADER = "dstport,protocol,tag"


def table(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    """The bytes of a lookup file."""
    return "".join(line + end for line in (header, *lines)).encode()


def mappings(*lines: str, on_conflict: str = "all") -> list[tuple[int, int, str]]:
    """What the rows below the usual header say."""
    return parse_lookup(table(*lines), on_conflict).mappings


def faults(content: bytes, on_conflict: str = "all") -> list[str]:
    """The lines below the first of the error that a file is refused with."""
    with pytest.raises(InputError) as caught:
        parse_lookup(content, on_conflict)
    assert caught.value.exit_code == 3
    return [line.strip() for line in str(caught.value).split("\n")[1:]]


# What is read


def test_a_row_maps_a_port_and_a_protocol_to_a_tag():
    assert mappings("443,tcp,web", "53,udp,dns") == [(53, 17, "dns"), (443, 6, "web")]


def test_a_tag_may_have_many_keys_and_is_counted_once():
    lookup = parse_lookup(table("80,tcp,web", "443,tcp,Web", "25,tcp,mail"))
    assert lookup.mappings == [(25, 6, "mail"), (80, 6, "web"), (443, 6, "web")]
    assert (lookup.rows, lookup.tags, lookup.conflicts) == (3, 2, {})


def test_the_same_port_on_another_protocol_is_another_key():
    lookup = parse_lookup(table("53,tcp,dns-tcp", "53,udp,dns-udp"))
    assert lookup.mappings == [(53, 6, "dns-tcp"), (53, 17, "dns-udp")]
    assert lookup.conflicts == {}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_header_alone_is_valid(end):
    lookup = parse_lookup(table(end=end))
    assert (lookup.rows, lookup.mappings, lookup.conflicts, lookup.tags) == (0, [], {}, 0)


def test_the_sha256_is_that_of_the_bytes_as_they_are():
    content = b"\xef\xbb\xbfdstport,protocol,tag\r\n443,tcp,web\r\n"
    assert parse_lookup(content).sha256 == hashlib.sha256(content).hexdigest()
    assert parse_lookup(b"dstport,protocol,tag\n").sha256 == (
        "978f2561c2af08f7adad9d195ba2deff13f368518440b4a8116d6ca1a5abc061"
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"dstport,protocol,tag\n443,tcp,web\n53,udp,dns", id="no line end at the end"),
        pytest.param(b"dstport,protocol,tag\r\n443,tcp,web\r\n53,udp,dns\r\n", id="CRLF"),
        pytest.param(b"dstport,protocol,tag\r\n443,tcp,web\n53,udp,dns\r\n", id="CRLF and LF mixed"),
        pytest.param(b"\xef\xbb\xbfdstport,protocol,tag\n443,tcp,web\n53,udp,dns\n", id="BOM"),
        pytest.param(b"\xef\xbb\xbf\r\ndstport,protocol,tag\r\n443,tcp,web\r\n53,udp,dns\r\n", id="BOM and CRLF"),
        pytest.param(b"\n \ndstport,protocol,tag\n\n443,tcp,web\n\t\n \t \n53,udp,dns\n\n", id="blank lines"),
        pytest.param(b"\r\ndstport,protocol,tag\r\n\r\n443,tcp,web\r\n53,udp,dns\r\n\r\n", id="blank lines, CRLF"),
        pytest.param(b" dstport , protocol,\ttag \n 443 ,\ttcp, web\t\n53\t,  udp  , dns \n", id="blanks around cells"),
        pytest.param(b'"dstport","protocol","tag"\n"443","tcp","web"\n53,"udp",dns\n', id="quoted cells"),
        pytest.param(b'dstport, "protocol" ,"tag"\n443, "tcp", " web "\n53,udp, "dns" \n', id="blanks and quotes"),
        pytest.param(
            b'\t"dstport",\t"protocol", \t"tag"\n\t443,\t"tcp",\t"web"\n53,\t udp, \t"dns"\t\n', id="tabs and quotes"
        ),
        pytest.param(
            b"dstport,protocol,tag\n%s443,%s6,web\n53,17,dns\n" % (b"0" * 5000, b"0" * 5000), id="leading zeros, no end"
        ),
        pytest.param(b"DSTPORT,Protocol,tAG\n443,tcp,web\n53,udp,dns\n", id="header in any case"),
        pytest.param(b"tag,dstport,protocol\nweb,443,tcp\ndns,53,udp\n", id="columns in another order"),
        pytest.param(b"owner,Tag,note,DstPort,Protocol\nme,web,,443,tcp\n,dns,x,53,udp\n", id="extra columns"),
        pytest.param(b"note,dstport,protocol,tag,note\n1,443,tcp,web,2\n3,53,udp,dns,4\n", id="extra column twice"),
        pytest.param(b"dstport,protocol,tag,\n443,tcp,web,\n53,udp,dns,\n", id="comma at the end of all lines"),
        pytest.param(b"dstport,protocol,tag\n00443,006,web\n0053,017,dns\n", id="leading zeros"),
        pytest.param(b"dstport,protocol,tag\n000000000443,0000006,web\n53,17,dns\n", id="many leading zeros"),
        pytest.param(b"dstport,protocol,tag\n443,TCP,web\n53,Udp,dns\n", id="keywords in any case"),
        pytest.param(b"dstport,protocol,tag\n53,udp,dns\n443,tcp,web\n", id="rows in another order"),
        pytest.param(b"dstport,protocol,tag\n443,tcp,web\n53,udp,dns\n443,6,web\n", id="a repeated row"),
    ],
)
def test_rule_3_the_same_table_in_other_clothes(content):
    assert parse_lookup(content).mappings == [(53, 17, "dns"), (443, 6, "web")]


@pytest.mark.parametrize(
    ("cell", "tag"),
    [
        ('"web, front"', "web, front"),
        ('"the ""new"" web"', 'the "new" web'),
        ('"two\nlines"', "two\nlines"),
        ('"two\r\nlines"', "two\nlines"),
        ('"a\rb"', "a\rb"),
        ('""""', '"'),
        ("a b", "a b"),
        ("a\tb", "a\tb"),
        ('"a,\t""b"""', 'a,\t"b"'),
        ("überwachung", "überwachung"),
        ("ポート", "ポート"),
        ("a\x0bb\x0cc\x85d", "a\x0bb\x0cc\x85d"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),  # a zero-width joiner makes two emoji one
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),  # Persian
        ("\u200c", "\u200c"),
        ("0443", "0443"),
        ("-", "-"),
    ],
)
def test_a_tag_is_any_text(cell, tag):
    lookup = parse_lookup(table(f"443,tcp,{cell}", "53,udp,dns"))
    assert lookup.mappings == [(53, 17, "dns"), (443, 6, tag)]
    assert lookup.rows == 2


@pytest.mark.parametrize(("cell", "port"), [("0", 0), ("00000", 0), ("1", 1), ("65535", 65535), ("00065535", 65535)])
def test_rule_2_a_port_is_a_number_from_0_to_65535(cell, port):
    assert mappings(f"{cell},tcp,x") == [(port, 6, "x")]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0", 0),
        ("6", 6),
        ("006", 6),
        ("000", 0),
        ("255", 255),
        ("253", 253),
        ("HOPOPT", 0),
        ("icmp", 1),
        ("ipv4", 4),
        ("argus", 13),
        ("ARGUS (deprecated)", 13),
        ("swipe (Deprecated)", 53),
        ("MICP(deprecated)", 95),
        ("SM \t (DEPRECATED)", 122),
        ('" sm (deprecated) "', 122),
        ("bbn-rcc-mon", 10),
        ("GRE", 47),
        ("IPv6-ICMP", 58),
        ("ospfigp", 89),
        ("ax.25", 93),
        ("sctp", 132),
        ("isis over ipv4", 124),
        ("Reserved", 255),
    ],
)
def test_rule_2_a_protocol_is_a_number_or_an_iana_keyword_in_any_case(cell, number):
    assert mappings(f"0,{cell},x") == [(0, number, "x")]


@pytest.mark.parametrize(("alias", "number"), [("icmpv6", 58), ("ICMP6", 58), ("OSPF", 89), ("isis", 124)])
def test_rule_2_common_aliases_are_protocols(alias, number):
    assert mappings(f"0,{alias},x") == [(0, number, "x")]


@pytest.mark.parametrize("keyword", ["ipip", "IPIP", "IpIp"])
def test_rule_2_an_iana_keyword_wins_over_an_alias(keyword):
    assert mappings(f"0,{keyword},tunnel") == [(0, 94, "tunnel")]


# What is refused


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("65536,tcp,x", "dstport 65536 is outside 0-65535"),
        ("99999,tcp,x", "dstport 99999 is outside 0-65535"),
        ("100000,tcp,x", "dstport 100000 is outside 0-65535"),
        ("0065536,tcp,x", "dstport 0065536 is outside 0-65535"),
        ("-1,tcp,x", "dstport '-1' is no number"),
        ("+443,tcp,x", "dstport '+443' is no number"),
        ("443.0,tcp,x", "dstport '443.0' is no number"),
        ("4 43,tcp,x", "dstport '4 43' is no number"),
        ("4_43,tcp,x", "dstport '4_43' is no number"),
        ("0x1bb,tcp,x", "dstport '0x1bb' is no number"),
        ("٤٤٣,tcp,x", "dstport '٤٤٣' is no number"),
        ("https,tcp,x", "dstport 'https' is no number"),
        ("-,tcp,x", "dstport '-' is no number"),
        ("*,tcp,x", "dstport '*' is no number"),
        ("80-90,tcp,x", "a range of ports ('80-90') is not supported yet"),
        ("80 - 90,tcp,x", "a range of ports ('80 - 90') is not supported yet"),
        ("443,tcpp,x", "unknown protocol 'tcpp' (did you mean tcp?)"),
        ("443,icmpv66,x", "unknown protocol 'icmpv66' (did you mean icmpv6?)"),
        ("443,zzzz,x", "unknown protocol 'zzzz'; use an IANA keyword or a number from 0 to 255"),
        ("443,-6,x", "unknown protocol '-6'"),
        ("443,6.0,x", "unknown protocol '6.0'"),
        ("443,٦,x", "unknown protocol '٦'"),
        ("443,-,x", "unknown protocol '-'"),
        ("443,tcp (deprecated),x", "IANA does not mark protocol 'tcp' as deprecated; write 'tcp' alone"),
        ("443,OSPF(Deprecated),x", "IANA does not mark protocol 'ospf' as deprecated; write 'ospf' alone"),
        ("443,argos (deprecated),x", "unknown protocol 'argos (deprecated)' (did you mean argus?)"),
        ("443,13 (deprecated),x", "unknown protocol '13 (deprecated)'"),
        ("443,(deprecated),x", "unknown protocol '(deprecated)'"),
        ("443,argus (deprecated) (deprecated),x", "unknown protocol 'argus (deprecated) (deprecated)'"),
        ("443,argus ( deprecated ),x", "unknown protocol 'argus ( deprecated )'"),
        ("443,argus deprecated,x", "unknown protocol 'argus deprecated'"),
        ("443,256,x", "protocol 256 is outside 0-255"),
        ("443,1000,x", "protocol 1000 is outside 0-255"),
        (",tcp,x", "empty dstport"),
        (" ,tcp,x", "empty dstport"),
        ('"",tcp,x', "empty dstport"),
        ("443,,x", "empty protocol"),
        ("443,\t,x", "empty protocol"),
        ("443,tcp,", "empty tag"),
        ("443,tcp,  ", "empty tag"),
        ('443,tcp,""', "empty tag"),
        ('443,tcp," "', "empty tag"),
        ("443,tcp,Untagged", "the tag Untagged is what flows without a tag are called"),
        ("443,tcp,untagged", "the tag Untagged is what flows without a tag are called"),
        ("443,tcp,UNTAGGED", "the tag Untagged is what flows without a tag are called"),
        ('443,tcp," unTAGGED "', "the tag Untagged is what flows without a tag are called"),
        ("443,tcp", "2 cell(s) where the header has 3"),
        ("443", "1 cell(s) where the header has 3"),
        ("443,tcp,web,", "4 cell(s) where the header has 3"),
        ("443,tcp,web, front", "4 cell(s) where the header has 3"),
        ("443;tcp;web", "1 cell(s) where the header has 3; it is separated by semicolons, write commas"),
        ("443\ttcp\tweb", "1 cell(s) where the header has 3; it is separated by tabs, write commas"),
        ("443|tcp|web", "1 cell(s) where the header has 3; it is separated by vertical bars, write commas"),
        ("443 tcp web", "1 cell(s) where the header has 3; it is separated by spaces, write commas"),
        ('443,tcp,"web', "a quote is not closed"),
        ('"443,tcp,web', "a quote is not closed"),
        ('443,tcp,"web""', "a quote is not closed"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_number(row, fault):
    (found,) = faults(table("22,tcp,ssh", row))
    assert found.startswith(f"line 3: {fault}")


def test_all_faults_of_a_file_are_reported_at_once():
    content = table(
        "443,tcp,web",
        "70000,tcp,high",
        "",
        "80-90,tcp,range",
        "22,tcpp,ssh",
        ",tcp,x",
        "22,,x",
        "22,tcp,",
        "22,tcp",
        "22,tcp,UnTagged",
        "53,udp,dns",
        '25,tcp,"mail',
    )
    assert faults(content) == [
        "line 3: dstport 70000 is outside 0-65535",
        "line 5: a range of ports ('80-90') is not supported yet; give one port, 0 to 65535, a row",
        "line 6: unknown protocol 'tcpp' (did you mean tcp?); use an IANA keyword or a number from 0 to 255",
        "line 7: empty dstport",
        "line 8: empty protocol",
        "line 9: empty tag",
        "line 10: 2 cell(s) where the header has 3",
        "line 11: the tag Untagged is what flows without a tag are called; choose another",
        "line 13: a quote is not closed",
    ]


def test_all_faults_of_a_row_are_reported():
    assert faults(table("70000,256,", "x,tcpp,untagged")) == [
        "line 2: dstport 70000 is outside 0-65535",
        "line 2: protocol 256 is outside 0-255",
        "line 2: empty tag",
        "line 3: dstport 'x' is no number; give one port, 0 to 65535, a row",
        "line 3: unknown protocol 'tcpp' (did you mean tcp?); use an IANA keyword or a number from 0 to 255",
        "line 3: the tag Untagged is what flows without a tag are called; choose another",
    ]


def test_hundreds_of_faults_are_all_reported():
    assert len(faults(table(*["443,tcp,"] * 300))) == 300


def test_a_key_with_very_many_tags_takes_no_longer_and_its_error_names_the_first_of_them():
    content = table(*(f"443,tcp,tag{n}" for n in range(65_536)))
    started = time.monotonic()
    assert len(parse_lookup(content).conflicts[443, 6]) == 65_536
    assert time.monotonic() - started < 10  # under a second; a minute when each row looks through all tags before
    (found,) = faults(content, "error")
    assert found.startswith("port 443 tcp: tag0, tag1, ")
    assert found.endswith(", tag9 and 65,526 more")


def test_the_error_names_the_file_and_counts_the_faults():
    with pytest.raises(InputError, match=r"^lookup s3://bucket/tags\.csv has 2 fault\(s\); correct them") as caught:
        parse_lookup(table("x,tcp,web", "443,tcp,"), where="s3://bucket/tags.csv")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_numbers_count_blank_lines_and_lines_inside_quotes(end):
    content = table("", '443,tcp,"one\ntwo\nthree"', "", "70000,tcp,x", header="\n" + HEADER, end=end)
    # 1 blank, 2 header, 3 blank, 4-6 the quoted tag, 7 blank, 8 the bad row
    assert faults(content) == ["line 8: dstport 70000 is outside 0-65535"]


def test_a_row_of_several_lines_is_named_by_its_first():
    assert faults(table('443,tcpp,"one\ntwo"', "70000,tcp,x")) == [
        "line 2: unknown protocol 'tcpp' (did you mean tcp?); use an IANA keyword or a number from 0 to 255",
        "line 4: dstport 70000 is outside 0-65535",
    ]


def test_an_open_quote_is_named_by_the_line_that_opens_it():
    assert faults(table("x,tcp,web", '443,tcp,"web', "80,tcp,web", "22,tcp,ssh")) == [
        "line 2: dstport 'x' is no number; give one port, 0 to 65535, a row",
        "line 3: a quote is not closed",
    ]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("dst_port,protocol,tag", "missing column(s) dstport (did you mean dst_port?)"),
        ("dstport,protocl,tag", "missing column(s) protocol (did you mean protocl?)"),
        ("dstport,protocol,TAGS", "missing column(s) tag (did you mean tags?)"),
        ("port,protocol,label", "missing column(s) dstport, tag (did you mean port?)"),
        ("dstport,protocol", "missing column(s) tag;"),
        ("dstport\u00a0,protocol,label", "missing column(s) tag;"),
        ("dstport,protocol,the\u00a0label", "missing column(s) tag;"),
        ("a;b;c", "missing column(s) dstport, protocol, tag;"),
        ("443,tcp,web", "missing column(s) dstport, protocol, tag;"),
        ("dstport,protocol,tag,Tag", "column tag comes twice"),
        ("dstport,protocol,tag,DSTPORT", "column dstport comes twice"),
    ],
)
def test_a_header_must_name_the_three_columns(header, fault):
    (found,) = faults(table("443,tcp,web", header=header))
    assert found.startswith(f"line 1: {fault}")
    assert found.endswith("the header must name dstport, protocol and tag")


def test_a_bad_header_is_named_by_its_own_line():
    assert faults(b"\n\ndstport,protocol,label\n443,tcp,web\n") == [
        "line 3: missing column(s) tag; the header must name dstport, protocol and tag"
    ]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n", b"\r\n \r\n\t\n"])
def test_a_file_without_a_header_line_is_refused(content):
    assert faults(content) == ["line 1: the file is empty; the header must name dstport, protocol and tag"]


def test_an_open_quote_in_the_header_is_one_fault():
    assert faults(b'dstport,protocol,"tag\n443,tcp,web\n') == ["line 1: a quote is not closed"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (table("443,tcp,web").replace(b"web", b"caf\xe9"), 2),
        (table("443,tcp,web", "53,udp,dns", end="\r\n").replace(b"dns", b"\xff"), 3),
        (b"\xe9" + table("443,tcp,web"), 1),
        (table("443,tcp,web") + b"\xff,tcp,web\n", 3),
        (b"\xef\xbb\xbf" + table("443,tcp,web", "53,udp,dns").replace(b"dns", b"caf\xe9"), 3),
    ],
)
def test_text_that_is_not_utf8_is_refused_with_its_line_number(content, line):
    with pytest.raises(InputError, match=f"lookup tags.csv, line {line}: not UTF-8"):
        parse_lookup(content, where="tags.csv")


# Blanks of Unicode

ODD = (
    "\u00a0\u00ad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f"
    "\u2060\u3000\ufeff"
)
NAMES = {"\u00a0": "NO-BREAK SPACE", "\u200b": "ZERO WIDTH SPACE", "\u00ad": "SOFT HYPHEN", "\u3000": "IDEOGRAPHIC SPACE"}


def test_the_odd_blanks_are_all_spaces_of_unicode_and_those_without_a_width():
    spaces = {char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in ("Zs", "Zl", "Zp")}
    assert {*ODD_BLANKS} == {*ODD} == spaces - {" "} | {"\u00ad", "\u200b", "\u2060", "\ufeff"}


@pytest.mark.parametrize("odd", [*ODD, "\u00a0 \u00a0", " \t\u2003\u200b\t"])
def test_rule_3_a_blank_of_unicode_at_the_ends_of_a_cell_does_not_matter(odd):
    lines = [f"{odd}dstport{odd},{odd}protocol{odd},{odd}tag{odd}", odd, f"{odd}443{odd},{odd}tcp{odd},{odd}web{odd}"]
    assert parse_lookup("\n".join(lines).encode()).mappings == [(443, 6, "web")]
    assert mappings(f'{odd}"443"{odd},{odd}"{odd}tcp{odd}"{odd},{odd}"a, ""b"""{odd}', odd) == [(443, 6, 'a, "b"')]
    assert mappings("443,tcp,web", f"443,tcp,{odd}WEB{odd}") == [(443, 6, "web")]
    assert faults(table(f"443,tcp,{odd}")) == ["line 2: empty tag"]
    assert faults(table(f"443,tcp,untagged{odd}"))[0].startswith("line 2: the tag Untagged")
    assert faults(f"{odd}\n{odd}\n".encode()) == [
        "line 1: the file is empty; the header must name dstport, protocol and tag"
    ]


@pytest.mark.parametrize("bom", ["\ufeff", "\ufeff\ufeff"])
@pytest.mark.parametrize(
    "header", [HEADER, '"dstport","protocol","tag"', "\n" + HEADER, ' "dstport",protocol,tag', "sep=,\n" + HEADER]
)
def test_rule_3_a_byte_order_mark_never_matters(bom, header):
    assert parse_lookup((bom + table("443,tcp,web", header=header).decode()).encode()).mappings == [(443, 6, "web")]


@pytest.mark.parametrize("odd", ODD)
def test_a_blank_of_unicode_inside_a_cell_is_named(odd):
    code = f"{ord(odd):04x}"
    told = f"contains U+{code.upper()} ({unicodedata.name(odd)}); write an ordinary space or remove it"
    assert faults(table("22,tcp,ssh", f"4{odd}43,t{odd}cp,we{odd}b", f'80,tcp," a{odd} b"')) == [
        f"line 3: dstport '4\\u{code}43' {told}",
        f"line 3: protocol 't\\u{code}cp' {told}",
        f"line 3: tag 'we\\u{code}b' {told}",
        f"line 4: tag 'a\\u{code} b' {told}",
    ]
    assert faults(table(header=f"dstport,pro{odd}tocol,tag")) == [f"line 1: column 'pro\\u{code}tocol' {told}"]


def test_the_names_of_blanks_are_those_of_unicode():
    for odd, name in NAMES.items():
        (fault,) = faults(table(f"443,tcp,a{odd}b{odd}c\u200bd"))
        code = f"{ord(odd):04x}"
        assert fault.startswith(f"line 2: tag 'a\\u{code}b\\u{code}c\\u200bd' contains U+{code.upper()} ({name});")


def test_what_other_columns_hold_does_not_matter():
    assert parse_lookup(table("443,tcp,web,see\u00a0us", header=HEADER + ",my\u00a0note")).mappings == [(443, 6, "web")]


# Files that are not CSV with commas

ROWS = ["443{0}tcp{0}web", "53{0}udp{0}dns"]


def refusal(content: bytes) -> str:
    """The one line that a file is refused with as a whole."""
    with pytest.raises(InputError) as caught:
        parse_lookup(content, where="tags.csv")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars"), (" ", "spaces")]
)
@pytest.mark.parametrize(
    "header",
    [
        "dstport{0}protocol{0}tag",
        '"Dstport"{0}"Protocol"{0}"TAG"',
        "\ufeffdstport{0}protocol{0}tag",
        "tag{0}note, and more{0}protocol{0}dstport",
        "dst_port{0}protocol{0}tag",
        "\u00a0dstport\u00a0{0}protocol{0}tag",
    ],
)
def test_a_table_with_another_separator_is_refused_by_its_name(header, separator, name):
    content = table(*(row.format(separator) for row in ROWS), header=header.format(separator))
    assert refusal(content) == f"lookup tags.csv is separated by {name}; save it as CSV with commas"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("sep=;", "semicolons"),
        ("SEP=;", "semicolons"),
        ("sep=\t", "tabs"),
        ("sep=|", "vertical bars"),
        ("sep=:", "':'"),
        ('"sep=;"', "semicolons"),
    ],
)
def test_a_line_that_declares_another_separator_is_believed(line, name):
    for rest in (HEADER, "dstport;protocol;tag"):
        told = f"lookup tags.csv is separated by {name}, as its line 'sep=' says; save it as CSV with commas"
        assert refusal(table(header=f"{line}\n{rest}")) == told


@pytest.mark.parametrize("line", ["sep=,", "Sep=,", '"sep=,"', "\ufeffsep=,", "\nsep=,"])
def test_a_line_that_declares_commas_is_passed_over(line):
    content = table("443,tcp,web", "x,tcp,web", header=f"{line}\n{HEADER}", end="\r\n")
    at = line.count("\n") + 4
    assert faults(content) == [f"line {at}: dstport 'x' is no number; give one port, 0 to 65535, a row"]
    assert parse_lookup(table("443,tcp,web", header=f"{line}\n{HEADER}")).mappings == [(443, 6, "web")]
    assert refusal(table(header=f"{line}\ndstport;protocol;tag")).startswith("lookup tags.csv is separated by semicolons")


def test_only_the_first_line_declares_a_separator():
    assert faults(table("sep=,")) == ["line 2: 2 cell(s) where the header has 3"]


@pytest.mark.parametrize(
    ("content", "line"),
    [(table("443,tcp,web", end="\r"), 1), (table("443,tcp,web", "53,udp\r,dns"), 3)],
)
def test_a_carriage_return_alone_is_named(content, line):
    assert faults(content) == [f"line {line}: a carriage return stands alone; save the table with LF or CRLF line ends"]


def test_a_cell_that_is_too_long_is_not_csv():
    assert faults(table(f"443,tcp,{'x' * 200_000}")) == ["line 2: not CSV (field larger than field limit (131072))"]


def excel() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            archive.writestr(name, "<xml/>" * 500)
    return memory.getvalue()


def parquet_file() -> bytes:
    memory = io.BytesIO()
    parquet.write_table(pa.table({"dstport": [443], "protocol": ["tcp"], "tag": ["web"]}), memory)
    return memory.getvalue()


TEXT = table("443,tcp,web").decode()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TEXT.encode("utf-16"), "UTF-16 text"),
        (TEXT.encode("utf-16-le"), "UTF-16 text"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16 text"),
        (TEXT.encode("utf-16-be"), "UTF-16 text"),
        (TEXT.replace(",", "\t").encode("utf-16"), "UTF-16 text"),
        (("\u30dd\u30fc\u30c8," + TEXT).encode("utf-16"), "UTF-16 text"),
        (TEXT.encode("utf-32"), "UTF-32 text"),
        (TEXT.encode("utf-32-be"), "UTF-32 text"),
        (excel(), "an Excel file (xlsx)"),
        (b"PK\x03\x04\x14\x00", "a zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an Excel file (xls) or another old Office file"),
        (gzip.compress(TEXT.encode()), "a gzip file"),
        (bz2.compress(TEXT.encode()), "a bzip2 file"),
        (parquet_file(), "a Parquet file"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "HTML or XML"),
        (b'<?xml version="1.0"?><Error/>', "HTML or XML"),
        (b'[{"dstport": 443, "protocol": "tcp", "tag": "web"}]', "JSON"),
        (b'\xef\xbb\xbf{"dstport": 443, "protocol": "tcp", "tag": "web"}\n', "JSON"),
    ],
)
def test_a_file_that_is_not_text_with_commas_is_refused_by_its_name(content, name):
    expected = f"lookup tags.csv is {name}; save it as CSV with commas: plain UTF-8 text, not compressed"
    assert refusal(content) == expected


# Rules 4 and 5: which tags a key keeps


def test_rule_4_tags_compare_without_case_and_are_written_as_first_spelled():
    lookup = parse_lookup(table("443,tcp,Web", "80,tcp,WEB", "443,tcp,web", "8080,tcp,wEB"))
    assert lookup.mappings == [(80, 6, "Web"), (443, 6, "Web"), (8080, 6, "Web")]
    assert (lookup.tags, lookup.conflicts) == (1, {})


@pytest.mark.parametrize(("one", "other"), [("Ärger", "äRGER"), ("ЖУК", "жук"), ("STRAẞE", "straße")])
def test_rule_4_case_means_unicode_lower_case(one, other):
    assert mappings(f"1,tcp,{one}", f"2,tcp,{other}") == [(1, 6, one), (2, 6, one)]


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "straße"), ("ﬁle", "file"), ("é", "e\u0301")])
def test_rule_4_case_is_not_folded_and_text_is_not_normalised(one, other):
    assert mappings(f"1,tcp,{one}", f"2,tcp,{other}") == [(1, 6, one), (2, 6, other)]


@pytest.mark.parametrize("on_conflict", ["all", "first", "last", "error"])
def test_rule_5_a_repeated_row_is_one_row(on_conflict):
    lookup = parse_lookup(table("443,tcp,Web", "443,6,web", "00443,TCP,WEB", "443,tcp,Web"), on_conflict)
    assert (lookup.rows, lookup.mappings, lookup.conflicts) == (4, [(443, 6, "Web")], {})


THREE_TAGS = ("443,tcp,Web", "22,tcp,ssh", "443,tcp,proxy", "443,6,api")


@pytest.mark.parametrize(
    ("on_conflict", "kept"),
    [
        ("all", [(22, 6, "ssh"), (443, 6, "Web"), (443, 6, "api"), (443, 6, "proxy")]),
        ("first", [(22, 6, "ssh"), (443, 6, "Web")]),
        ("last", [(22, 6, "ssh"), (443, 6, "api")]),
    ],
)
def test_rule_5_a_key_with_several_tags_keeps_those_that_on_conflict_says(on_conflict, kept):
    lookup = parse_lookup(table(*THREE_TAGS), on_conflict)
    assert lookup.mappings == kept
    assert lookup.conflicts == {(443, 6): ["Web", "proxy", "api"]}
    assert lookup.rows == 4


def test_rule_5_all_is_the_default():
    assert parse_lookup(table("1,tcp,b", "1,tcp,a")).mappings == [(1, 6, "a"), (1, 6, "b")]


@pytest.mark.parametrize(
    ("rows", "tag"),
    [
        (["443,tcp,a", "443,tcp,b", "443,tcp,a"], "a"),
        (["443,tcp,a", "443,tcp,b", "443,tcp,b"], "b"),
        (["443,tcp,a", "443,tcp,b", "443,tcp,A", "443,tcp,c", "443,tcp,B"], "b"),
        (["443,tcp,b", "443,tcp,a", "80,tcp,b"], "a"),
    ],
)
def test_rule_5_with_last_the_last_row_in_the_file_decides(rows, tag):
    assert (443, 6, tag) in mappings(*rows, on_conflict="last")
    assert len(mappings(*rows, on_conflict="last")) == len({row.split(",")[0] for row in rows})


@pytest.mark.parametrize("rows", [["443,tcp,a", "443,tcp,b", "443,tcp,a"], ["443,tcp,A", "443,tcp,b", "443,6,a"]])
def test_rule_5_with_first_the_first_row_in_the_file_decides(rows):
    (kept,) = mappings(*rows, on_conflict="first")
    assert kept == (443, 6, rows[0][-1])


def test_rule_5_under_error_every_key_with_several_tags_is_named():
    rows = ["443,tcp,web", "22,tcp,ssh", "53,udp,dns", "443,tcp,Proxy", "53,17,names", "443,tcp,WEB"]
    with pytest.raises(InputError, match=r"^lookup tags\.csv gives 2 key\(s\) several tags") as caught:
        parse_lookup(table(*rows), "error", "tags.csv")
    assert str(caught.value).split("\n")[1:] == ["  port 53 udp: dns, names", "  port 443 tcp: web, Proxy"]
    assert caught.value.exit_code == 3


def test_rule_5_under_error_a_table_without_conflicts_is_read():
    assert mappings("443,tcp,web", "443,udp,quic", on_conflict="error") == [(443, 6, "web"), (443, 17, "quic")]


def test_faults_are_reported_before_conflicts():
    assert faults(table("443,tcp,a", "443,tcp,b", "443,tcp,"), "error") == ["line 4: empty tag"]


@pytest.mark.parametrize(("word", "hint"), [("frist", r" \(did you mean first\?\)"), ("none", ""), ("", "")])
def test_an_unknown_on_conflict_is_wrong_usage(word, hint):
    expected = f"^unknown on_conflict '{word}'{hint}; use one of all, first, last, error$"
    with pytest.raises(UsageError, match=expected) as caught:
        parse_lookup(table("443,tcp,web"), word)
    assert caught.value.exit_code == 2


def test_the_number_of_tags_is_of_those_that_are_kept():
    content = table("443,tcp,web", "443,tcp,proxy", "80,tcp,web")
    assert [parse_lookup(content, choice).tags for choice in ("all", "first", "last")] == [2, 1, 2]
    assert Lookup(0, "").tags == 0

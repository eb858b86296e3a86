"""Random log files, with all the oddities that the rules speak of."""

from __future__ import annotations

import gzip

from hypothesis import strategies as st

from tests.reference import TGW, V2

PORTS = st.sampled_from(["443", "53", "0", "65535", "22", "00080", "-"])
ODD_DIGITS = "65536 -1 -0 +443 443.0 1e3 0x1F 4_4 - --1 99999999 123456789 1234567890123456 12345678901234567 x 256 \u0663"
LONG_DIGITS = ["0" * 30 + "53", "9" * 19, "9223372036854775807", "9223372036854775808", "9" * 5000]
ODD_NUMBERS = st.sampled_from([*ODD_DIGITS.split(), *LONG_DIGITS, "4\x00", "\x0b80", "8\r0"])
PROTOCOLS = st.sampled_from(["6", "17", "1", "58", "255", "0", "006", "-"])
STATUSES = st.sampled_from(["OK"] * 8 + ["NODATA", "SKIPDATA", "-"])
ODD_STATUSES = st.sampled_from(["ok", "OKAY", "O", "NODATAX", "SKIPDATAX", "\x00OK", "OK\x00", "NODATA\u00a0", "--"])
TEXTS = st.sampled_from(
    ["eni-0a1b", "10.0.0.1", "-", "ACCEPT", "a,b", '"q"', "é", "%20", "unknown", "0123", "--", "\ud7ff"]
)
LAYOUTS = [
    V2,
    TGW,
    ["log-status"],
    ["dstport", "protocol"],
    ["protocol", "new-field", "dstport", "bytes", "log-status"],
    ["start", "log-status", "end"],
    ["account-id", "dstport", "log-status"],
    ["tcp-flags", "packets", "traffic-path", "dstport", "protocol", "srcport", "action"],
    ["action", "bytes"],
]
NUMBERS = ("srcport", "packets", "bytes", "start", "end", "tcp-flags", "version", "traffic-path")


@st.composite
def layouts(draw: st.DrawFn) -> list[str]:
    """The fields of a header; sometimes one of them, or two, stand there more than once."""
    layout = list(draw(st.sampled_from(LAYOUTS)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        layout.insert(draw(st.integers(0, len(layout))), draw(st.sampled_from(layout)))
    return layout


@st.composite
def values(draw: st.DrawFn, layout: list[str]) -> list[str]:
    odd = draw(st.integers(0, 9)) == 0
    row = []
    for name in layout:
        if name == "dstport":
            row.append(draw(ODD_NUMBERS if odd and draw(st.booleans()) else PORTS))
        elif name == "protocol":
            row.append(draw(ODD_NUMBERS if odd and draw(st.booleans()) else PROTOCOLS))
        elif name == "log-status":
            row.append(draw(ODD_STATUSES if odd and draw(st.booleans()) else STATUSES))
        elif name == "version":
            row.append("6" if "tgw-id" in layout else "2")
        elif name in NUMBERS:
            row.append(draw(ODD_NUMBERS) if odd and draw(st.booleans()) else str(draw(st.integers(0, 10**12))))
        else:
            row.append(draw(TEXTS))
    if odd and draw(st.integers(0, 2)) == 0:
        row = row[:-1] if draw(st.booleans()) else [*row, "extra"]
    return row


@st.composite
def lines(draw: st.DrawFn, layout: list[str]) -> bytes:
    kind = draw(st.integers(0, 30))
    if kind == 0:
        return draw(st.sampled_from([b"", b" ", b"\t  "]))
    if kind == 1:
        return draw(
            st.sampled_from([b"x", b"\xff\xfe bad", b"no header at all here", b"\r", b"a\rb", b"'", b"\x00", b"\xc2\xa0"])
        )
    row = [value.encode() for value in draw(values(layout))]
    if kind == 2:
        return b"  ".join(row) + b" "
    if kind == 3:
        return b"\t" + b" \t".join(row)
    if kind == 4:
        return b" ".join(row).replace(b"10.0.0.1", b"\xff\xfe\xc3")
    return b" ".join(row)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """The text of a log file: usually with a header, sometimes with more of them, or with none."""
    layout = draw(layouts())
    parts: list[bytes] = []
    if draw(st.integers(0, 5)):
        parts += draw(st.lists(st.sampled_from([b"", b" "]), max_size=2))
        parts.append(draw(st.sampled_from([b" ", b"  ", b"\t"])).join(name.encode() for name in layout))
    for _ in range(draw(st.integers(1, 3))):
        parts += draw(st.lists(lines(layout), max_size=12))
        if draw(st.integers(0, 3)) == 0:
            layout = draw(layouts())
            parts.append(" ".join(layout).encode())
    ends = draw(st.sampled_from([[b"\n"], [b"\r\n"], [b"\n", b"\r\n"]]))
    text = b"".join(part + draw(st.sampled_from(ends)) for part in parts)
    if draw(st.integers(0, 4)) == 0:
        text = text.removesuffix(b"\n")
    return (b"\xef\xbb\xbf" if draw(st.integers(0, 9)) == 0 else b"") + text


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """The bytes of a log file: plain, gzip, gzip with several members or padding, cut or corrupt."""
    text = draw(texts())
    kind = draw(st.integers(0, 12))
    if kind < 5:
        return text
    middle = len(text) // 2
    packed = gzip.compress(text[:middle], mtime=0) + gzip.compress(text[middle:], mtime=0)
    if kind == 5:
        return packed + b"\0" * draw(st.sampled_from([1, 8, 600]))
    if kind == 6:
        return packed[: draw(st.integers(2, len(packed) - 1))]
    if kind == 7:
        return packed + b"garbage"
    return packed

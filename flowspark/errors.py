"""What can go wrong: one root, and one class for each exit code of the command.

FlowsparkError              1
├── UsageError              2
├── InputError              3
│   ├── BadFile             3
│   │   ├── Gone            3
│   │   └── Unreadable      3
│   └── CannotList          3
├── CheckError              4
└── TurnLost (turns.py)     1
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class FlowsparkError(Exception):
    """The root of all errors that flowspark raises on purpose; the message says what, where, and what to do next."""

    exit_code = 1


class UsageError(FlowsparkError):
    """Wrong usage or settings."""

    exit_code = 2


class InputError(FlowsparkError):
    """An input that cannot be used: nothing found, a bad lookup, an unreadable or corrupt file, no layout."""

    exit_code = 3


class CheckError(FlowsparkError):
    """The data failed a check: too many rejected lines, or books that do not balance."""

    exit_code = 4


class BadFile(InputError):
    """One log file that cannot be read to its end (rule 10); the scan names it, with its path.

    `refused`: the storage did not hand the file over, so the worker's access may be at fault (access.py).
    """

    refused = False


class CannotList(InputError):
    """A folder that cannot be listed; `denied` tells whether it is because permissions forbid it."""

    def __init__(self, message: str, *, denied: bool) -> None:
        super().__init__(message)
        self.denied = denied


class Gone(BadFile):
    """A log file that does not exist where it is opened."""

    refused = True


class Unreadable(BadFile):
    """A log file that the storage refused or failed to hand over. Its content is not known; it may be a good file."""

    def __init__(self, message: str, *, refused: bool = True) -> None:
        super().__init__(message)
        self.refused = refused


# control characters (C0, DEL, C1), marks that turn the direction of text or end a line, and bytes that are not UTF-8
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

MORE_MEMORY = (
    "give Java more memory (spark-submit --driver-memory 4g, or for python "
    'PYSPARK_SUBMIT_ARGS="--driver-memory 4g pyspark-shell")'
)

VANISHED = "vanished between listing and reading; run again"

_HEAP_IS_FULL = re.compile(r"java\.lang\.OutOfMemoryError|SparkOutOfMemoryError")
_NO_S3 = re.compile(r'No FileSystem for scheme "s3|S3AFileSystem not found')


def printable(text: str, keep: str = "") -> str:
    r"""Returns a text from outside with the characters escaped that could steer a terminal or forge a line of output.

    Args:
        text: a tag, a file name, a rejected line, or a message that has some.
        keep: characters that stay as they are, such as the line breaks of a message of several lines.

    >>> print(printable("web\x1b[2J\u202e\n"))
    web\x1b[2J\u202e\n
    """
    return _UNPRINTABLE.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word, ready to be appended to a message; empty when nothing comes close.

    >>> did_you_mean("--lokup", ["--lookup", "--input"])
    ' (did you mean --lookup?)'
    >>> did_you_mean("zzz", ["--lookup"])
    ''
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""


def cause(error: BaseException) -> str:
    """The innermost reason of an error from inside Spark, in one line, without the traces around it."""
    text = str(error)
    server = re.findall(r'^\s*details = "(.+)"$', text, re.MULTILINE)  # gRPC, which Spark Connect uses
    python = re.findall(r"^(\w[\w.]*(?:Error|Exception|Exit|Interrupt)\b: .*)$", text, re.MULTILINE)
    program = re.findall(r'Cannot run program "[^"]+".*', text)  # PYSPARK_PYTHON
    java = re.findall(r"Caused by: (.*)", text) or re.findall(r"^: ([\w.$]+(?:Exception|Error)\b.*)$", text, re.MULTILINE)
    said: list[str] = server or program or java or python or [text.strip().split("\n")[0] or type(error).__name__]
    hint = ""
    if _NO_S3.search(text):
        hint = "; Spark has no support for S3 here: give it the jars of scripts/jars and conf/spark-s3.conf"
    elif _HEAP_IS_FULL.search(text):
        hint = f"; {MORE_MEMORY}"
    return said[-1].strip()[:1000] + hint


def one_line(error: BaseException) -> str:
    """What a library says went wrong, on one line of bounded length."""
    return " ".join(str(error).split())[:500]

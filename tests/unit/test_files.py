"""Which files are log files, where they are, and who may open them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowspark.errors import InputError, UsageError
from flowspark.files import (
    LogFile,
    check_reader,
    hidden,
    identity,
    is_direct,
    is_local,
    local_path,
    normal,
    reported_path,
    spark_path,
    utc_text,
)
from flowspark.find import EVERYTHING, find_files
from flowspark.locations import check_location
from flowspark.lookup_table import read_lookup
from flowspark.missing import nothing_found


def write(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def list_local(uri: str) -> list[LogFile]:
    """The log files of a local input; the direct reader needs no Spark to find them."""
    return find_files(None, [uri], "direct", allow_empty=True).files


def listed(uri: Path | str, below: Path) -> list[str]:
    """The paths found under an input, relative to a folder, sorted."""
    return sorted(os.path.relpath(file.path, below) for file in list_local(str(uri)))


# Paths and URIs


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("logs", True),
        ("/var/logs", True),
        ("./logs/a.log", True),
        ("file:///var/logs", True),
        ("file:/var/logs", True),
        ("file://localhost/var/logs", True),
        ("12:30/a.log", True),
        ("a:b.log", True),
        ("flows:today.log", True),
        ("logs/s3://bucket", True),
        ("C:/logs", True),
        ("s3://bucket/logs", False),
        ("s3a://bucket/logs", False),
        ("gs://bucket/logs", False),
        ("abfss://box@account.dfs.core.windows.net/logs", False),
        ("hdfs:///logs", False),
        ("dbfs:/mnt/logs", False),
    ],
)
def test_a_path_is_local_unless_it_names_another_storage(uri, expected):
    assert is_local(uri) is expected


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/var/logs", "/var/logs"),
        ("/var/logs/", "/var/logs"),
        ("/var//logs/./a/../b", "/var/logs/b"),
        ("/", "/"),
        ("//var/logs", "/var/logs"),
        ("file:////var/logs", "/var/logs"),
        ("/var/a%20b", "/var/a%20b"),
        ("/var/a?b#c", "/var/a?b#c"),
        ("file:/var/logs", "/var/logs"),
        ("file:///var/logs/", "/var/logs"),
        ("file:///var//logs/../a", "/var/a"),
        ("file://localhost/var/logs", "/var/logs"),
        ("file:///var/a%20b", "/var/a b"),
        ("file:///var/a+b", "/var/a+b"),
        ("file:///var/100%25", "/var/100%"),
        ("file:///var/a%2520b", "/var/a%20b"),
        ("file:///var/a%23b%3Fc", "/var/a#b?c"),
        ("file:///var/%C3%BC", "/var/ü"),
        ("file:///var/ü", "/var/ü"),
        ("file:///var/a\tb\n", "/var/a\tb\n"),
    ],
)
def test_a_local_path_is_absolute_and_only_uris_are_percent_decoded(uri, path):
    assert local_path(uri) == path


def test_a_relative_path_starts_at_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_path("logs/a.log") == f"{tmp_path}/logs/a.log"
    assert local_path("../a.log") == f"{tmp_path.parent}/a.log"
    assert normal(".") == str(tmp_path)


def test_a_link_keeps_the_name_that_it_was_given(tmp_path):
    write(tmp_path / "real" / "a.log")
    (tmp_path / "link").symlink_to("real")
    assert local_path(f"{tmp_path}/link/a.log") == f"{tmp_path}/link/a.log"


@pytest.mark.parametrize(
    ("spellings", "expected"),
    [
        (["/var/logs", "/var/logs/", "/var//logs", "/var/./logs", "file:///var/logs", "file:/var/logs/"], "/var/logs"),
        (["/var/a b", "file:///var/a%20b"], "/var/a b"),
        (["s3://bucket/logs", "s3://bucket/logs/", "s3://bucket/logs//"], "s3://bucket/logs"),
        (["s3://bucket", "s3://bucket/"], "s3://bucket"),
        (["dbfs:/mnt/logs", "dbfs:/mnt/logs/", "dbfs:/mnt//logs"], "dbfs:/mnt/logs"),
        (["hdfs:///logs", "hdfs:///logs/", "hdfs:///logs//"], "hdfs:///logs"),
        (["hdfs://name:8020/a/b", "hdfs://name:8020//a//b/"], "hdfs://name:8020/a/b"),
        (["hdfs:///"], "hdfs:///"),
        (["gs://bucket", "gs://bucket/"], "gs://bucket"),
        (["s3://bucket/a%20b"], "s3://bucket/a%20b"),
    ],
)
def test_all_spellings_of_a_path_have_one_normal_form(spellings, expected):
    assert [normal(uri) for uri in spellings] == [expected] * len(spellings)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://bucket/logs", "s3a://bucket/logs/", True),
        ("s3a://bucket/s3a:x", "s3://bucket/s3a:x", True),
        ("s3a://bucket/s3a:x", "s3://bucket/s3:x", False),
        ("/var/logs", "file:///var/logs/", True),
        ("s3://bucket/logs", "gs://bucket/logs", False),
        ("s3://bucket/a//b", "s3://bucket/a/b", False),
        ("s3a://bucket/a//b", "s3://bucket/a//b", True),
    ],
)
def test_s3_and_s3a_are_two_names_of_one_place(one, other, same):
    assert (identity(one) == identity(other)) is same


UNDERSTOOD = [
    *("logs", "/var/logs", "./logs", "../logs", ".", "/", "a b", " logs", "12:30/a.log", "a:b.log", "flows:today.log"),
    *("C:/logs", "~x", "~x/y", "a~", "a,b.log", "$x", "{a}", "logs/s3://bucket", "a//b", "s3", "file", "arn:aws/x"),
    *(
        "file:///var/logs",
        "file:/var/logs",
        "file://localhost/var/logs",
        "file:logs",
        "file:///a%3Fb",
        "file:///",
        "file:/a,b",
    ),
    *("s3://bucket", "s3://bucket/", "s3://bucket//", "s3a://my.bucket-1/a/b,c/", "s3://Old_Bucket/.../a=b/ x+%20?#&{}$~"),
    *("s3://bucket/logs//", "s3://bucket/a:b/c", "s3://bucket/http:x"),
    *("gs://bucket/a//b", "abfss://box@account.dfs.core.windows.net/logs", "abfs://box@account.dfs.core.windows.net/"),
    *(
        "hdfs:///logs",
        "hdfs://name:8020/logs",
        "hdfs:/logs",
        "dbfs:/mnt/logs",
        "/Volumes/a/b/c",
        "/dbfs/mnt",
        "wasbs://a@b/c",
    ),
]


@pytest.mark.parametrize("uri", UNDERSTOOD)
def test_a_location_that_all_parts_understand_alike_is_taken(uri):
    check_location("input", uri)


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("", "is empty; give a path or a URI"),
        (" \t", "is empty; give a path or a URI"),
        ("a\0b", "contains a NUL character"),
        (" s3://bucket/a", "begins or ends with a blank; write s3://bucket/a"),
        ("s3://bucket/a\n", "begins or ends with a blank; write s3://bucket/a"),
        ("file:///a ", "begins or ends with a blank; write file:///a"),
        ("s3://bucket/a,s3://bucket/b", "is a list of several locations; give each one on its own"),
        ("logs, gs://bucket/b", "is a list of several locations"),
        ("/a,file:/b", "is a list of several locations"),
        ("~", f"begins with '~', which only the shell can replace; write {Path.home()}"),
        ("~/logs", f"begins with '~', which only the shell can replace; write {Path.home()}/logs"),
        ("file://logs", "names a host, 'logs'; write file:///logs or logs"),
        ("file://logs/a.log", "names a host, 'logs'; write file:///logs/a.log or logs/a.log"),
        ("file://./logs", "names a host, '.'; write"),
        ("file:", "names no file or folder"),
        ("file://", "names no file or folder"),
        ("file://localhost", "names no file or folder"),
        ("file:///a?b", "contains '?' or '#', which end its path; write %3F and %23, or the plain path /a?b"),
        ("file:/a#b", "contains '?' or '#', which end its path"),
        ("FILE:///logs", "has a scheme in capitals; write file:///logs"),
        ("File:logs", "has a scheme in capitals; write file:logs"),
        ("S3://bucket/a", "has a scheme in capitals; write s3://bucket/a"),
        ("S3a://bucket/a", "has a scheme in capitals; write s3a://bucket/a"),
        ("HDFS:///a", "has a scheme in capitals; write hdfs:///a"),
        ("s3:/bucket/a", "does not have two slashes after its scheme; write s3://bucket/a"),
        ("s3:bucket/a", "does not have two slashes after its scheme; write s3://bucket/a"),
        ("s3a:/bucket", "does not have two slashes after its scheme; write s3a://bucket"),
        ("s3:://bucket/a", "does not have two slashes after its scheme; write s3://bucket/a"),
        ("s3//bucket/a", "looks like a URI, but is a local path; write s3://bucket/a or ./s3//bucket/a"),
        ("s3.//bucket/a", "looks like a URI, but is a local path; write s3://bucket/a"),
        ("hdfs:logs/a", "looks like a URI, but is a local path; write hdfs://logs/a or ./hdfs:logs/a"),
        ("s3n://bucket/a", "has the scheme of a connector that is gone; write s3://bucket/a"),
        ("S3N:bucket", "has the scheme of a connector that is gone; write s3://bucket"),
        ("s3://", "names no bucket; write s3://BUCKET/"),
        ("s3:///logs/a", "names no bucket; write s3://BUCKET/logs/a"),
        ("s3a:////", "names no bucket; write s3a://BUCKET/"),
        ("s3://${BUCKET}/logs", "names a bucket, '${BUCKET}', that cannot exist; fill in its variable or template"),
        ("s3://{{ bucket }}/logs", "names a bucket, '{{ bucket }}', that cannot exist"),
        ("s3://FILL_IN_BUCKET/logs", "names a bucket, 'FILL_IN_BUCKET', that cannot exist"),
        ("s3://user:word@bucket/logs", "names a bucket, 'user:word@bucket', that cannot exist"),
        ("s3://bucket//logs", "has a folder whose name is empty"),
        ("s3://bucket/a//b/", "has a folder whose name is empty"),
        ("s3a://bucket/a/../b", "has a folder whose name is empty, '.' or '..'"),
        ("s3://bucket/./b", "has a folder whose name is empty, '.' or '..'"),
        ("s3://bucket/a/..", "has a folder whose name is empty, '.' or '..'"),
        ("arn:aws:s3:::bucket/logs/a", "is an ARN, which is not a location; write s3://bucket/logs/a"),
        ("arn:aws-cn:s3:::bucket", "is an ARN, which is not a location; write s3://bucket"),
        ("arn:aws-us-gov:s3:::bucket/a", "is an ARN, which is not a location; write s3://bucket/a"),
        ("s3://arn:aws:s3:::bucket/a", "is an ARN, which is not a location; write s3://bucket/a"),
        ("arn:aws:s3:eu-west-1:123456789010:accesspoint/a", "is an ARN, which is not a location; write s3:// and"),
        ("https://bucket.s3.amazonaws.com/a/b.log", "is a web address; write s3://bucket/a/b.log"),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/a", "is a web address; write s3://my.bucket/a"),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a%2Bb?x=1", "is a web address; write s3://bucket/a+b"),
        ("https://bucket.s3.dualstack.us-east-1.amazonaws.com/a", "is a web address; write s3://bucket/a"),
        ("https://bucket.s3-us-west-2.amazonaws.com/a", "is a web address; write s3://bucket/a"),
        ("https://bucket.s3.cn-north-1.amazonaws.com.cn/a", "is a web address; write s3://bucket/a"),
        ("HTTP://example.com/a", "is a web address; download the file first"),
        ("https://eu-west-1.console.aws.amazon.com/s3/buckets/b", "is a web address; download the file first"),
    ],
)
def test_a_location_that_could_mean_another_place_is_wrong_usage_with_the_right_spelling(uri, hint):
    with pytest.raises(UsageError) as caught:
        check_location("lookup", uri)
    assert str(caught.value).startswith(f"lookup '{uri}' {hint}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("logs", True), ("file:///logs", True), ("s3://b/l", True), ("s3a://b", True), ("s3n://b", False), ("gs://b", False)],
)
def test_flowspark_itself_opens_local_paths_and_s3(uri, expected):
    assert is_direct(uri) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/logs", "file:///var/logs"),
        ("/var/a b%20ü", "file:///var/a b%20ü"),
        ("/var/[a]{b}*?\\c", "file:///var/\\[a\\]\\{b\\}\\*\\?\\\\c"),
        ("s3://bucket/a*", "s3://bucket/a\\*"),
    ],
)
def test_spark_is_given_a_path_whose_pattern_characters_are_escaped(path, expected):
    assert spark_path(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("file:/var/logs/a.log", "/var/logs/a.log"),
        ("file:///var/logs/a.log", "/var/logs/a.log"),
        ("file:/var/file:a.log", "/var/file:a.log"),
        ("/var/logs/a.log", "/var/logs/a.log"),
        ("s3://bucket/file:/a.log", "s3://bucket/file:/a.log"),
    ],
)
def test_a_path_from_spark_is_reported_without_the_scheme_of_local_files(path, expected):
    assert reported_path(path) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (1_700_000_000.999, "2023-11-14T22:13:20Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
    ],
)
def test_times_are_written_in_utc_to_the_second(seconds, text):
    assert utc_text(seconds) == text


# Listing


def test_a_folder_is_searched_to_the_bottom(tmp_path):
    names = ["a.log", "AWSLogs/1234/vpcflowlogs/eu-west-1/2026/11/22/b.log.gz", "x/y/z/no_extension", "x/empty/.keep"]
    for name in names:
        write(tmp_path / name)
    assert listed(tmp_path, tmp_path) == sorted(names[:3])


def test_a_folder_without_files_has_no_log_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert list_local(str(tmp_path)) == []


def test_a_file_is_described_by_path_size_and_time_of_change(tmp_path):
    path = write(tmp_path / "logs" / "a.log", b"x" * 1234)
    os.utime(path, (0, 1_700_000_000.75))
    expected = [LogFile(f"{tmp_path}/logs/a.log", 1234, "2023-11-14T22:13:20Z")]
    assert list_local(str(path)) == expected
    assert list_local(str(tmp_path)) == expected


def test_a_file_is_described_the_same_however_its_path_is_spelled(tmp_path):
    path = write(tmp_path / "a b" / "c.log", b"12")
    (expected,) = list_local(str(path))
    assert expected.path == f"{tmp_path}/a b/c.log"
    assert list_local(f"file://{tmp_path}/a%20b/c.log") == [expected]
    assert list_local(f"file:{tmp_path}/a%20b/") == [expected]
    assert list_local(f"{tmp_path}//a b/../a b/") == [expected]


def test_an_empty_file_is_listed(tmp_path):
    write(tmp_path / "empty.log")
    assert [file.size for file in list_local(str(tmp_path))] == [0]


NAMES = [
    "a b.log",
    "a+b=c.log",
    "100%.log",
    "%20.log",
    "größe.log",
    "日.log",
    "a*[b]?{c}.log",
    "a,b'c\"d.log",
    "a\\b",
    "~x",
    "a:b",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_hold_any_character(tmp_path, name):
    path = write(tmp_path / f"dt={name}" / name, b"1")
    assert [file.path for file in list_local(str(tmp_path))] == [str(path)]
    assert [file.path for file in list_local(str(path))] == [str(path)]


@pytest.mark.parametrize("first", ["_", "."])
def test_files_and_folders_whose_names_begin_with_an_underscore_or_a_dot_are_left_out(tmp_path, first):
    left_out = [f"{first}a.log", f"{first}b/c.log", f"{first}b/d/e.log", f"f/{first}g/h.log", f"f/{first}i"]
    kept = ["f/j.log", f"k{first}/l{first}m.log", f"n{first}o"]
    for name in left_out + kept:
        write(tmp_path / name)
    assert listed(tmp_path, tmp_path) == kept


@pytest.mark.parametrize("name", ["_a.log", ".a.log", "_SUCCESS", ".a.log.crc"])
def test_a_hidden_file_is_left_out_even_when_it_is_the_input_itself(tmp_path, name):
    assert list_local(str(write(tmp_path / name, b"x"))) == []


def test_only_the_names_below_an_input_can_hide_a_file(tmp_path):
    write(tmp_path / "_landing" / ".copy" / "logs" / "a.log")
    assert listed(tmp_path / "_landing" / ".copy" / "logs", tmp_path) == ["_landing/.copy/logs/a.log"]
    assert listed(tmp_path / "_landing" / ".copy" / "logs" / "a.log", tmp_path) == ["_landing/.copy/logs/a.log"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("_a", True), (".a", True), ("_", True), (".", False), ("..", False), ("...", True), ("a_", False)],
)
def test_a_name_is_hidden_by_its_first_character(name, expected):
    assert hidden(name) is expected


def test_the_error_for_an_empty_input_names_it_and_the_rule(tmp_path):
    with pytest.raises(InputError) as caught:
        find_files(None, [str(tmp_path)])
    assert str(caught.value) == str(nothing_found(str(tmp_path), EVERYTHING, None))
    assert str(caught.value).startswith(
        f"no log file under input {tmp_path}: nothing is there, or only names that begin with"
    )
    assert caught.value.exit_code == 3


# Links


def test_links_to_files_and_folders_are_followed(tmp_path):
    write(tmp_path / "elsewhere" / "deep" / "a.log", b"123")
    write(tmp_path / "elsewhere" / "b.log", b"4567")
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "folder").symlink_to(tmp_path / "elsewhere" / "deep")
    (logs / "file.log").symlink_to("../elsewhere/b.log")
    found = {os.path.relpath(file.path, logs): file.size for file in list_local(str(logs))}
    assert found == {"folder/a.log": 3, "file.log": 4}


def test_an_input_may_be_a_link(tmp_path):
    write(tmp_path / "real" / "a.log")
    (tmp_path / "link").symlink_to("real")
    assert listed(tmp_path / "link", tmp_path) == ["link/a.log"]


def test_the_same_bytes_under_two_names_are_two_files(tmp_path):
    write(tmp_path / "a.log", b"1")
    (tmp_path / "b.log").symlink_to("a.log")
    (tmp_path / "c.log").hardlink_to(tmp_path / "a.log")
    assert listed(tmp_path, tmp_path) == ["a.log", "b.log", "c.log"]


def test_a_link_back_to_a_folder_above_ends(tmp_path):
    write(tmp_path / "a" / "b" / "c.log")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "here").symlink_to(".")
    assert listed(tmp_path, tmp_path) == ["a/b/c.log"]


def test_links_that_fan_out_list_each_real_folder_once(tmp_path):
    """25 levels with two links each to the next: 2^25 ways to the bottom."""
    for level in range(26):
        write(tmp_path / "logs" / f"{level:02}" / f"{level:02}.log", b"x")
    for level in range(25):
        for name in ("a", "b"):
            (tmp_path / "logs" / f"{level:02}" / name).symlink_to(tmp_path / "logs" / f"{level + 1:02}")
    expected = [f"{level:02}/{level:02}.log" for level in range(26)]
    assert listed(tmp_path / "logs", tmp_path / "logs") == expected
    # seen from the top folder alone, the others are reached by the first of the links
    assert listed(tmp_path / "logs" / "00", tmp_path / "logs" / "00") == sorted(
        "a/" * level + f"{level:02}.log" for level in range(26)
    )


def test_a_file_keeps_its_real_name_where_it_has_one_below_the_input(tmp_path):
    write(tmp_path / "logs" / "z" / "real" / "a.log", b"1")
    (tmp_path / "logs" / "a-link").symlink_to(tmp_path / "logs" / "z")
    (tmp_path / "logs" / "b-link").symlink_to(tmp_path / "logs" / "z" / "real")
    write(tmp_path / "outside" / "b.log", b"2")
    for name in ("2nd", "1st"):
        (tmp_path / "logs" / name).symlink_to(tmp_path / "outside")
    assert listed(tmp_path / "logs", tmp_path / "logs") == ["1st/b.log", "z/real/a.log"]
    assert listed(tmp_path / "logs" / "a-link", tmp_path / "logs") == ["a-link/real/a.log"]


def test_a_link_to_nothing_is_listed_for_the_reader_to_name(tmp_path):
    (tmp_path / "gone.log").symlink_to("nowhere")
    (tmp_path / "self.log").symlink_to("self.log")
    assert sorted(list_local(str(tmp_path)), key=lambda file: file.path) == [
        LogFile(f"{tmp_path}/gone.log", 0),
        LogFile(f"{tmp_path}/self.log", 0),
    ]
    assert list_local(str(tmp_path / "gone.log")) == [LogFile(f"{tmp_path}/gone.log", 0)]


# What cannot be listed


@pytest.mark.parametrize("uri", ["none", "none/", "a.log/none", "none/a.log"])
def test_an_input_that_is_not_there_is_an_error(tmp_path, uri):
    write(tmp_path / "a.log")
    with pytest.raises(InputError, match=f"^input {tmp_path}/{uri.rstrip('/')} does not exist; check the path$") as caught:
        find_files(None, [f"{tmp_path}/{uri}"])
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("pattern", ["*.log", "2026/??/a.log", "[ab].log", "{a,b}.log"])
def test_a_pattern_is_not_expanded_and_the_error_says_so(tmp_path, pattern):
    write(tmp_path / "a.log")
    with pytest.raises(InputError) as caught:
        find_files(None, [f"{tmp_path}/{pattern}"])
    assert str(caught.value) == (
        f"input {tmp_path}/{pattern} does not exist; patterns are not expanded: give the folder, or several --input"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.log,b.log", "a comma is part of the name: several locations are given one by one (--input may be repeated)"),
        ("$BUCKET/logs", "it looks like a variable or a template that was not filled in"),
        ("${BUCKET}/logs", "it looks like a variable or a template that was not filled in"),
        ("{{ ds }}", "it looks like a variable or a template that was not filled in"),
        ("logs ", "its name begins or ends with a blank: check the path"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_with_a_hint_at_what_may_be_wrong(tmp_path, name, hint):
    write(tmp_path / "a.log")
    write(tmp_path / "b.log")
    with pytest.raises(InputError) as caught:
        find_files(None, [f"{tmp_path}/{name}"])
    assert str(caught.value) == f"input {tmp_path}/{name} does not exist; {hint}"


def test_the_library_refuses_an_input_and_a_lookup_that_could_mean_another_place(tmp_path, monkeypatch):
    write(tmp_path / "logs", b"443 6")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^input 'file://logs' names a host, 'logs'; write "):
        find_files(None, ["file://logs"])
    with pytest.raises(UsageError, match=r"^lookup 'file://logs' names a host"):
        read_lookup(None, "file://logs")


def test_a_pipe_is_an_error_and_is_not_opened(tmp_path):
    write(tmp_path / "a.log")
    os.mkfifo(tmp_path / "pipe")
    for uri in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match=f"^{tmp_path}/pipe is not a regular file .*; copy the log into a file$"):
            list_local(str(uri))


def test_a_hidden_pipe_is_left_out_as_all_that_is_hidden(tmp_path):
    write(tmp_path / "a.log")
    os.mkfifo(tmp_path / "_pipe")
    assert listed(tmp_path, tmp_path) == ["a.log"]


# Readers

LOCAL = ["logs", "/var/logs", "file:///var/logs"]
MIXED = ["logs", "hdfs://namenode/logs"]


@pytest.mark.parametrize(
    ("reader", "inputs"),
    [("auto", MIXED), ("direct", ["s3://bucket/logs", "s3a://bucket/logs", "logs"]), ("direct", LOCAL), ("spark", MIXED)],
)
def test_a_reader_that_can_open_the_inputs_is_right(reader, inputs):
    check_reader(reader, inputs)


def test_on_databricks_s3_belongs_to_spark(monkeypatch):
    check_reader("direct", ["s3://bucket/logs"])
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert not is_direct("s3://bucket/logs")
    with pytest.raises(UsageError, match="except on Databricks, S3; use --reader spark"):
        check_reader("direct", ["s3://bucket/logs"])


@pytest.mark.parametrize("inputs", [MIXED, ["dbfs:/logs", "hdfs://namenode/logs"][::-1]])
def test_the_direct_reader_does_not_open_every_storage(inputs):
    with pytest.raises(UsageError, match=r"cannot open .*(hdfs|dbfs):/.*; use --reader spark") as caught:
        check_reader("direct", inputs)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("reader", "hint"), [("drect", r" \(did you mean direct\?\)"), ("pandas", "")])
def test_an_unknown_reader_is_wrong_usage(reader, hint):
    expected = f"^unknown reader '{reader}'{hint}; use one of auto, direct, spark$"
    with pytest.raises(UsageError, match=expected) as caught:
        check_reader(reader, LOCAL)
    assert caught.value.exit_code == 2

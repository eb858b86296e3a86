"""Files that the storage did not hand to the workers: bad files, or workers without access. The requests are real."""

from __future__ import annotations

import pytest

from flowspark.access import check_access
from flowspark.binary import READABLE_NOW
from flowspark.books import Books
from flowspark.errors import BadFile, FlowsparkError, Gone, InputError, Unreadable
from flowspark.s3 import S3
from tests.logs import flow, log, write


def refused(listed: list[str], *paths: str) -> Books:
    """The books of a scan in which the workers were refused some of the listed files."""
    return Books(listed=len(listed), refused=list(paths), bad_files=dict.fromkeys(paths, "cannot be opened: no"))


@pytest.fixture
def listed(bucket) -> list[str]:
    for name in "abc":
        bucket.put(f"logs/{name}.log", log(flow(443)))
    return [bucket.uri(f"logs/{name}.log") for name in "abc"]


def test_an_object_that_the_driver_can_open_is_a_good_file(proxy, listed):
    proxy.deny("logs/a")
    with pytest.raises(FlowsparkError) as caught:
        check_access(refused(listed, listed[0], listed[1], listed[1]), listed)
    assert caught.value.exit_code == 1
    message = str(caught.value)
    assert message.startswith("workers could not open 2 of 3 file(s), and the driver can open 1 of 2 that it has tried: ")
    assert message.endswith(f"\n  {listed[1]}: cannot be opened: no")
    for remedy in ("spark.executorEnv.AWS_ACCESS_KEY_ID", "role of their machine or pod", "--reader spark"):
        assert remedy in message


def test_a_file_that_spark_can_read_by_now_is_a_good_file():
    bad = {"s3://b/a": READABLE_NOW, "s3://b/b": "cannot be read: archived"}
    with pytest.raises(FlowsparkError, match=r"could not read 2 of 3 file\(s\) in two attempts.*good files") as caught:
        check_access(Books(listed=3, vanished=[*bad], bad_files=bad), [*bad, "s3://b/c"])
    assert caught.value.exit_code == 1
    assert str(caught.value).endswith(f"\n  s3://b/a: {READABLE_NOW}")


def test_where_the_first_files_decide_no_others_are_tried(proxy, bucket):
    paths = [bucket.uri(f"logs/{n:02}.log") for n in range(20)]
    for n in range(20):
        bucket.put(f"logs/{n:02}.log", log(flow(443)))
    proxy.clear()
    with pytest.raises(FlowsparkError, match=r"could not open 20 of 20 .* 16 of 16 that it has tried"):
        check_access(refused(paths, *paths), paths)
    assert proxy.count("GetObject", under="logs/") == 16


def test_an_object_that_nobody_can_open_is_a_bad_file_where_others_of_its_bucket_open(proxy, listed):
    proxy.deny("logs/b")
    check_access(refused(listed, listed[1]), listed)
    assert proxy.count("GetObject", under="logs/a") == 1


def test_an_object_that_is_archived_or_gone_for_the_driver_too_is_a_bad_file(proxy, listed):
    proxy.fail("GetObject", under="logs/a", status=403, code="InvalidObjectState")
    proxy.hide("logs/b.log")
    proxy.hide("logs/c.log")
    check_access(refused(listed, *listed), listed)


def test_where_the_driver_cannot_even_open_an_object_that_was_read_nothing_is_known_of_the_others(proxy, listed):
    proxy.deny("logs")
    with pytest.raises(
        FlowsparkError, match=r"nobody can tell whether they are bad files: .*Check whether credentials"
    ) as caught:
        check_access(refused(listed, listed[0], listed[2]), listed)
    assert caught.value.exit_code == 1
    assert f"({listed[1]}: cannot be opened: " in str(caught.value)
    assert "ACCESS_DENIED" in str(caught.value)


def test_a_bucket_of_which_no_object_can_be_opened_is_no_input_and_its_files_are_not_left_out(proxy, listed, tmp_path):
    proxy.deny("logs")
    other = str(write(tmp_path / "d.log", log(flow(443))))
    with pytest.raises(InputError, match=r"no object of bucket bucket-\d+ can be opened, neither by the workers nor by"):
        check_access(refused([*listed, other], *listed), [*listed, other])


def test_a_local_file_that_the_driver_can_open_is_a_good_file(tmp_path):
    there, gone = str(write(tmp_path / "a.log", log(flow(443)))), str(tmp_path / "b.log")
    with pytest.raises(FlowsparkError, match=r"could not open 2 of 2 file.*All machines must see the same files") as caught:
        check_access(refused([there, gone], gone, there), [there, gone])
    assert gone not in str(caught.value)
    check_access(refused([there, gone], gone), [there, gone])
    check_access(Books(listed=2, bad_files={there: "corrupt gzip"}), [there, gone])


def test_an_object_is_gone_only_where_its_bucket_is_there(bucket):
    with pytest.raises(Gone):
        S3("s3").open(bucket.uri("none.log"))
    with pytest.raises(Unreadable, match="bucket no-such-bucket does not exist"):
        S3("s3").open("s3://no-such-bucket/none.log")


def test_a_worker_without_credentials_is_told_so(bucket, proxy):
    bucket.put("a.log", log(flow(443)))
    proxy.deny("a.log")
    with pytest.raises(BadFile, match=r"ACCESS_DENIED.*; check the credentials .*\(the reader 'spark'\)$") as caught:
        S3("s3").open(bucket.uri("a.log"))
    assert caught.value.refused

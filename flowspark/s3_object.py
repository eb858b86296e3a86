"""Reads one S3 object through pyarrow. If S3 refuses it, the error has S3's own answer."""

from __future__ import annotations

import io
from typing import Any

from flowspark.errors import VANISHED, BadFile, Gone, Unreadable, one_line

_READ_AHEAD = 8 << 20  # bytes of one request to S3; without it, each small read would be a request of its own
_TRIES = 5
_GONE = ("NO_SUCH_KEY", "RESOURCE_NOT_FOUND")
_NO_BODY = "No response body"  # an older pyarrow has only S3's status, the same for archived and forbidden objects
_NO_MESSAGE = "operation:"  # at the end: the AWS SDK sometimes has the status alone, though S3 has sent a reason
_NO_NAME = "AWS Error [code "  # pyarrow has no name for InvalidObjectState (archived); other unnamed errors are rare

# pyarrow gives S3's answer just as much memory as the bytes that it has asked for. If an error is longer (some 300 bytes),
# it does not fit: its text is lost, and the SDK, which does not see a "slow down", does not try again.
_ANSWER_LOST = "Failed to flush response stream"
_ROOM = 1 << 16  # bytes that any error fits into


class S3Object(io.RawIOBase):
    """The bytes of an object from one position to another, fetched 8 MB at a time.

    Args:
        filesystem: pyarrow's S3.
        path: bucket and key.
        start: where to start.
        stop: where to stop; None is the object's end.
    """

    def __init__(self, filesystem: Any, path: str, start: int, stop: int | None) -> None:
        self._filesystem, self._path = filesystem, path
        self._file = filesystem.open_input_file(path)
        self._place = start
        self._stop: int = self._file.size() if stop is None else stop
        self._ahead = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        if not self._ahead:
            self._ahead = memoryview(self._fetch(max(0, min(_READ_AHEAD, self._stop - self._place))))
            self._place += len(self._ahead)
        count = min(len(memory), len(self._ahead))
        memory[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def _fetch(self, size: int) -> bytes:
        for _ in range(_TRIES if size else 0):
            try:
                data: bytes = self._file.read_at(size, self._place)
            except OSError as error:
                answer = self._answer() if _ANSWER_LOST in str(error) else one_line(error)
                if answer:
                    raise _refusal(answer, self._path) from error
            else:
                return data
        if size:
            raise Unreadable("cannot be read: S3 fails to hand over the object each time; run again later")
        return b""

    def _answer(self) -> str | None:
        """Asks S3 once more, with enough room for an error and the SDK's own retries: S3's answer; None if all is well.

        Of all readers in pyarrow, only a dataset's fragment believes the size that it is told. It takes the object for
        Parquet, but only after it has read from it, which is what counts here.
        """
        import pyarrow as pa
        from pyarrow.dataset import ParquetFileFormat

        try:
            ParquetFileFormat().make_fragment(self._path, self._filesystem, file_size=_ROOM).ensure_complete_metadata()
        except pa.ArrowInvalid:  # it was read, and is not Parquet
            return None
        except OSError as error:
            return one_line(error).split("': ", 1)[-1]
        except TypeError:  # a pyarrow that takes no size
            return _ANSWER_LOST
        return None


def _refusal(answer: str, path: str) -> BadFile:
    if any(code in answer for code in _GONE):
        return Gone(VANISHED)
    why = ""
    if _ANSWER_LOST in answer or ("ACCESS_DENIED" in answer and (_NO_BODY in answer or answer.endswith(_NO_MESSAGE))):
        why = (
            ", as a rule because it is archived (Glacier) or because the credentials may not read it; "
            f"`aws s3 cp s3://{path} -` shows which"
        )
    elif _NO_NAME in answer:
        why = ", as a rule because it is archived (Glacier) and has to be restored first"
    return Unreadable(f"cannot be read: S3 refused to hand over the object{why}: {answer}")

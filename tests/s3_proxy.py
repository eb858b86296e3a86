"""A proxy between a test and its S3 server: it keeps a list of the requests, and spoils those that a test tells it to.

In a test that reads:

    proxy.fail("GetObject", under="logs/a.log", times=2)     # 503 SlowDown, twice
    proxy.cut("GetObject", times=1)                          # the connection is reset in the middle of the body
    proxy.deny("secret/")                                    # 403 for all below, listings too, until the test ends
    proxy.deny_unsigned()                                    # 403 for each request without credentials
    proxy.hide("logs/b.log")                                 # listed, but 404 when it is opened
    proxy.fail("GetObject", status=403, code="InvalidObjectState")  # archived
    proxy.delay(0.5, "ListObjects")
    proxy.enforce(policy)                                    # 403 for what an IAM policy does not allow
    assert proxy.count("CopyObject") == 0
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.s3_policy import Need, allows, may_know, needs

# What marks an operation: whether the request names a key, a parameter of the query (None: none of those in the list), and
# the method. Copies are PUTs, told by a header.
_OPERATIONS = {
    (True, "uploads", "POST"): "CreateMultipartUpload",
    (True, "uploadId", "PUT"): "UploadPart",
    (True, "uploadId", "POST"): "CompleteMultipartUpload",
    (True, "uploadId", "DELETE"): "AbortMultipartUpload",
    (True, None, "GET"): "GetObject",
    (True, None, "HEAD"): "HeadObject",
    (True, None, "PUT"): "PutObject",
    (True, None, "DELETE"): "DeleteObject",
    (False, "delete", "POST"): "DeleteObjects",
    (False, "uploads", "GET"): "ListMultipartUploads",
    (False, "location", "GET"): "GetBucketLocation",
    (False, None, "GET"): "ListObjects",
    (False, None, "HEAD"): "HeadBucket",
}
_PARAMETERS = ("uploads", "uploadId", "delete", "location")
_CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire: `key` without its percent-encoding, header names in lower case."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def operation(self) -> str:
        """Its name in the S3 API."""
        if self.method == "PUT" and "x-amz-copy-source" in self.headers:
            return "CopyObject"
        parameter = next((name for name in _PARAMETERS if name in self.query), None)
        return _OPERATIONS.get((bool(self.key), parameter, self.method), f"{self.method} {'&'.join(self.query)}")

    @property
    def place(self) -> str:
        """The key, or the prefix that is listed."""
        return self.key or self.query.get("prefix", "")


@dataclass
class _Fault:
    operations: tuple[str, ...]
    under: str
    left: float
    status: int | None = None
    code: str | None = None
    seconds: float = 0
    unsigned: bool = False

    def hits(self, request: Request) -> bool:
        return (
            self.left > 0
            and not (self.unsigned and "authorization" in request.headers)
            and (not self.operations or request.operation in self.operations)
            and request.place.startswith(self.under)
        )


class Proxy:
    """The list of requests, and the faults to come; `url` is its endpoint, `upstream` the host and port of the server.

    `refused` is the list of what the policy that is enforced did not allow.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.upstream: tuple[str, int] | None = None
        self.requests: list[Request] = []
        self.refused: list[Need] = []
        self._policy: Mapping[str, Any] | None = None
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forgets the requests, the faults and the policy."""
        with self._lock:
            self.requests, self._faults, self.refused, self._policy = [], [], [], None

    def count(self, *operations: str, under: str = "") -> int:
        """How many requests there were, of these operations (or all) for keys or prefixes that begin so."""
        seen = [request for request in list(self.requests) if request.place.startswith(under)]
        return sum(not operations or request.operation in operations for request in seen)

    def fail(
        self, *operations: str, under: str = "", times: float = float("inf"), status: int = 503, code: str | None = None
    ) -> None:
        """Answers the next matching requests with an error; its code is the usual one of the status, if none is given."""
        self._add(_Fault(operations, under, times, status, code))

    def cut(self, *operations: str, under: str = "", times: float = float("inf")) -> None:
        """Resets the connection after half of the body of the next matching answers."""
        self._add(_Fault(operations, under, times))

    def delay(self, seconds: float, *operations: str, under: str = "", times: float = float("inf")) -> None:
        """Lets the next matching requests wait."""
        self._add(_Fault(operations, under, times, seconds=seconds))

    def deny(self, under: str) -> None:
        """403 for each request below a prefix, and for listings of it; one of a folder above shows what is there."""
        self.fail(under=under, status=403)

    def deny_unsigned(self) -> None:
        """403 for each request without credentials."""
        self._add(_Fault((), "", float("inf"), 403, unsigned=True))

    def hide(self, key: str) -> None:
        """404 for an object that listings go on to show."""
        self.fail("GetObject", "HeadObject", under=key, status=404)

    def enforce(self, policy: Mapping[str, Any]) -> None:
        """Refuses all that an IAM policy does not allow, as S3 does: with 403, or with an error for each key to delete."""
        with self._lock:
            self.refused, self._policy = [], policy

    def refuse(self, wanted: Iterable[Need]) -> list[Need]:
        """What is not allowed, of what a request needs."""
        with self._lock:
            denied = [need for need in wanted if self._policy is not None and not allows(self._policy, need)]
            self.refused += denied
            return denied

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def note(self, request: Request) -> _Fault | None:
        """Keeps a request, and says what to do to it."""
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self._faults if fault.hits(request)), None)
            if fault:
                fault.left -= 1
            return fault


@contextmanager
def s3_proxy() -> Iterator[Proxy]:
    """A proxy on a free port of the loopback interface, in threads of this process."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Handler.proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield Handler.proxy
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each small answer waits for an acknowledgement

    def handle_request(self) -> None:
        body = self._body()
        request = self._request()
        fault = self.proxy.note(request)
        denied = self.proxy.refuse(needs(request, body))
        if denied and request.operation == "DeleteObjects":
            self._refuse_keys(denied, body)
            return
        if denied or (fault and fault.status):
            self._error(fault.status if fault and fault.status else 403, fault.code if fault else None)
            return
        time.sleep(fault.seconds if fault else 0)
        status, headers, answer = self._forward(body)
        if status == 404 and request.key and self.proxy.refuse([may_know(request.bucket)]):
            self._error(403)
        elif fault and not fault.seconds:
            self._answer(status, headers, answer[: len(answer) // 2])
            self._reset()
        else:
            self._answer(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815  # the base class's names

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        bucket, _, key = parts.path.removeprefix("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, unquote(bucket), unquote(key), query, headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self.proxy.upstream, "the test asks for no bucket, so there is no server"
        connection = HTTPConnection(*self.proxy.upstream)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect", "transfer-encoding", "content-length"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        headers = {n: v for n, v in response.getheaders() if n.lower() not in ("connection", "transfer-encoding")}
        if self.command != "HEAD":
            headers |= {"Content-Length": str(len(answer))}
        return response.status, headers, answer

    def _error(self, status: int, code: str | None = None) -> None:
        text = f"<Error><Code>{code or _CODES[status]}</Code><Message>told so by the test</Message></Error>".encode()
        self._answer(status, {"Content-Type": "application/xml", "Content-Length": str(len(text))}, text)

    def _refuse_keys(self, denied: list[Need], body: bytes) -> None:
        """The answer to a list of keys to delete, none of which may be deleted."""
        assert len(denied) == body.count(b"<Key>"), "a list of which some keys may be deleted has not come up yet"
        keys = [need.resource.partition("/")[2] for need in denied]
        errors = [f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code></Error>" for key in keys]
        text = f"<DeleteResult>{''.join(errors)}</DeleteResult>".encode()
        self._answer(200, {"Content-Type": "application/xml", "Content-Length": str(len(text))}, text)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Says nothing; the tests have the list of requests."""

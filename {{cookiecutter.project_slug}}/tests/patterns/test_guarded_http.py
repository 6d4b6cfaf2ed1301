"""What the protocol class refuses, bounds and repairs, over raw sockets against real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import json
import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.patterns.guarded_http import HttpGuard, HttpLimits
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never the time that something takes."""

SHORT = 0.2
"""Seconds of a deadline under test."""

HOST = b"Host: service.example\r\n"
marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker", default="none")


@dataclass
class Application:
    """An ASGI application whose requests the test can hold and watch."""

    called: list[str] = field(default_factory=list)
    scopes: list[Any] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    disconnected: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called.append(scope["path"])
        self.scopes.append(scope)
        handler = getattr(self, scope["path"].strip("/*") or "plain", self.plain)
        await handler(receive, send)

    async def plain(self, _receive: Any, send: Any) -> None:
        await self._answer(send, b"ok")

    async def echo(self, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body, more = body + message["body"], message["more_body"]
        await self._answer(send, body)

    async def hold(self, _receive: Any, send: Any) -> None:
        self.entered.set()
        await asyncio.to_thread(self.release.wait, PATIENCE)
        await self._answer(send, b"held")

    async def wait(self, receive: Any, _send: Any) -> None:
        self.entered.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    async def large(self, receive: Any, send: Any) -> None:
        await self._answer(send, bytes(32 * 2**20))
        await self.wait(receive, send)

    async def pieces(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(32 * 2**20), "more_body": True})
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": bytes(1), "more_body": True})
        await self.wait(receive, send)

    async def begun(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.wait(receive, send)

    async def crash(self, _receive: Any, _send: Any) -> None:
        raise ZeroDivisionError("secret")

    async def mark(self, _receive: Any, send: Any) -> None:
        seen = marker.get()
        marker.set("left behind")
        await self._answer(send, seen.encode())

    @staticmethod
    async def _answer(send: Any, body: bytes) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Answer:
    """One response, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> Any:
        return json.loads(self.body)["code"]


class Peer:
    """A client that says exactly what the test tells it to."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self) -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            assert self._more(), f"the connection ended after {self.buffer!r}"
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            assert self._more(), "the connection ended inside a body"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(first.split()[1]), headers, body)

    def rest(self) -> bytes:
        """Everything until the connection ends, however it ends."""
        with contextlib.suppress(ConnectionError):
            while self._more():
                pass
        rest, self.buffer = self.buffer, b""
        return rest

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.answer()


@dataclass
class Service:
    """A running server, and everything about it that a test looks at."""

    port: int
    app: Application
    guard: HttpGuard
    refused: queue.Queue[str]
    peers: list[Peer] = field(default_factory=list)

    def connect(self, **options: Any) -> Peer:
        self.peers.append(Peer(self.port, **options))
        return self.peers[-1]

    def disconnect(self) -> None:
        for peer in self.peers:
            peer.socket.close()

    def ask(self, data: bytes) -> Answer:
        return self.connect().ask(data)


Start = Callable[..., Service]


def started(stack: contextlib.ExitStack, limit_concurrency: int | None = None, **limits: Any) -> Service:
    app = Application()
    refused: queue.Queue[str] = queue.Queue()
    guard = HttpGuard(HttpLimits(**{"sweep_interval": 0.02} | limits), on_refusal=refused.put)
    options = {"http": guard.protocol_class(), "loop": "uvloop", "ws": "none", "lifespan": "off"}
    url = stack.enter_context(serve(app, limit_concurrency=limit_concurrency, **options))
    service = Service(urlsplit(url).port or 0, app, guard, refused)
    stack.callback(service.disconnect)
    stack.callback(app.release.set)
    return service


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server with the limits that the test is about."""
    with contextlib.ExitStack() as stack:
        yield functools.partial(started, stack)


@pytest.fixture(scope="module")
def everyday() -> Iterator[Service]:
    """A server with the default limits, for the tests that leave it as it was."""
    with contextlib.ExitStack() as stack:
        yield started(stack, linger_timeout=PATIENCE * 2)  # so that nothing here ends by that


def get(path: bytes = b"/", *headers: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path, HOST, b"".join(line + b"\r\n" for line in headers))


def padded(size: int) -> bytes:
    """A request whose head has exactly ``size`` bytes."""
    return get(b"/", b"X-Pad: " + b"a" * (size - len(get(b"/", b"X-Pad: "))))


def with_headers(count: int) -> bytes:
    return get(b"/", *(b"X-%d: a" % number for number in range(count - 1)))


def post(*headers: bytes, body: bytes, path: bytes = b"/echo") -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"POST %s HTTP/1.1\r\n%s%s\r\n%s" % (path, HOST, lines, body)


def push(peer: Peer, piece: bytes) -> int:
    """Send ``piece`` until the connection ends, reading nothing; return how many bytes went."""
    pushed = 0
    with contextlib.suppress(ConnectionError):
        while pushed < ENOUGH:
            peer.send(piece)
            pushed += len(piece)
    return pushed


def trickle(peer: Peer, data: bytes) -> bytes:
    """Send a byte of ``data`` at a time, waiting a little for an answer after each; return its beginning."""
    peer.socket.settimeout(SHORT / 20)
    try:
        for byte in data:
            peer.send(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                return peer.socket.recv(65536)
    except ConnectionError:
        return b""
    finally:
        peer.socket.settimeout(PATIENCE)
    pytest.fail("nothing happened until the end")


CHUNKED = b"Transfer-Encoding: chunked"
ENOUGH = 64 * 2**20
"""Bytes that no pair of socket buffers holds: who could push so many could push for ever."""


# -- what is refused, and what is not ------------------------------------------------------------------------

REFUSED = {
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host_invalid"),
    "two equal hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_invalid"),
    "two hosts in 1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_invalid"),
    "no host": (b"GET / HTTP/1.1\r\nX: a\r\n\r\n", 400, "host_invalid"),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host_invalid"),
    "a host with user": (b"GET / HTTP/1.1\r\nHost: b@a\r\n\r\n", 400, "host_invalid"),
    "a host with path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host_invalid"),
    "a host with space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host_invalid"),
    "a list of hosts": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "host_invalid"),
    "a host with a bad port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "host_invalid"),
    "a host too long": (b"GET / HTTP/1.1\r\nHost: " + b"a" * 256 + b"\r\n\r\n", 400, "host_invalid"),
    "another host in the target": (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_invalid"),
    "a user in the target": (b"GET http://b@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_invalid"),
    "another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    "a fragment": (get(b"/a#b"), 400, "bad_request"),
    "a star that is no OPTIONS": (get(b"*"), 400, "bad_request"),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "not_implemented"),
    "length and coding": (post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"), 400, "bad_request"),
    "coding and length": (post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"), 400, "bad_request"),
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"), 400, "bad_request"),
    "two equal lengths": (post(b"Content-Length: 1", b"Content-Length: 1", body=b"a"), 400, "bad_request"),
    "a list of lengths": (post(b"Content-Length: 1, 1", body=b"a"), 400, "bad_request"),
    "a signed length": (post(b"Content-Length: +1", body=b"a"), 400, "bad_request"),
    "a length too large": (post(b"Content-Length: " + b"9" * 30, body=b"a"), 400, "bad_request"),
    "two codings": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
    "two coding fields": (post(b"Transfer-Encoding: gzip", CHUNKED, body=b""), 501, "not_implemented"),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked", body=b""), 501, "not_implemented"),
    "a coding in 1.0": (
        b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad_request",
    ),
    "a folded line": (get(b"/", b"X: a\r\n b"), 400, "bad_request"),
    "a bare LF after the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400, "bad_request"),
    "a bare LF after a header": (get(b"/", b"X: a\nY: b"), 400, "bad_request"),
    "a bare CR in a header": (get(b"/", b"X: a\rY: b"), 400, "bad_request"),
    "space before the colon": (get(b"/", b"X : a"), 400, "bad_request"),
    "space before the first header": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400, "bad_request"),
    "a header without a name": (get(b"/", b": a"), 400, "bad_request"),
    "NUL in a header": (get(b"/", b"X: a\0b"), 400, "bad_request"),
    "NUL in the target": (get(b"/\0"), 400, "bad_request"),
    "an unknown method": (b"FETCH / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "a method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505, "http_version_unsupported"),
    "HTTP/2.0 in the request line": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "http_version_unsupported"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case: str, everyday: Service) -> None:
    request, status, code = REFUSED[case]
    everyday.app.called.clear()
    peer = everyday.connect()

    answer = peer.ask(request)

    assert (status, code) == (answer.status, answer.code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert {"type", "title", "status", "detail", "code", "request_id"} == set(problem)
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert peer.rest() == b""
    assert everyday.app.called == []


ACCEPTED = {
    "a name": get(),
    "a name with port": b"GET / HTTP/1.1\r\nHost: service.example:8000\r\n\r\n",
    "an IPv4 address": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an IPv6 address": b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
    "HTTP/1.0 without a host": b"GET / HTTP/1.0\r\n\r\n",
    "an absolute target": b"GET http://A.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "an absolute target without path": b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS of the whole server": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "empty lines before": b"\r\n\r\n" + get(),
    "bytes beyond ASCII in a value": get(b"/", b"X: \xff"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_it_serves(case: str, everyday: Service) -> None:
    answer = everyday.ask(ACCEPTED[case])

    assert (answer.status, answer.body) == (200, b"ok")


def test_the_application_sees_the_path_of_an_absolute_target(start: Start) -> None:
    service = start()

    service.ask(b"GET http://a/b%20c?d=e HTTP/1.1\r\nHost: a\r\n\r\n")

    [scope] = service.app.scopes
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/b c", b"/b%20c", b"d=e")


# -- sizes ---------------------------------------------------------------------------------------------------


def test_headers_of_exactly_the_bound_pass(everyday: Service) -> None:
    assert everyday.ask(padded(16 * 1024)).status == 200


def test_headers_of_one_byte_more_are_refused(everyday: Service) -> None:
    answer = everyday.ask(padded(16 * 1024 + 1))

    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_the_headers_of_a_pipelined_request_are_bounded_too(start: Start) -> None:
    service = start(max_header_bytes=1024)
    peer = service.connect()

    peer.send(get() + padded(1025))

    assert [peer.answer().status, peer.answer().status] == [200, 431]


def test_a_head_that_begins_behind_another_is_bounded_when_it_ends_in_a_later_read(start: Start) -> None:
    service = start(max_header_bytes=1024)
    peer = service.connect()
    second = padded(4000)

    assert peer.ask(get() + second[:3990]).status == 200  # so the rest is a read of its own

    assert peer.ask(second[3990:]).status == 431


@pytest.mark.parametrize("header", [b"X: " + b"a" * 2**20, b"X: a\r\n" * (2**20 // 6)], ids=["one line", "many lines"])
def test_a_megabyte_of_headers_is_refused_before_it_has_come(start: Start, header: bytes) -> None:
    service = start()
    peer = service.connect()

    with contextlib.suppress(ConnectionError):
        peer.send(b"GET / HTTP/1.1\r\n" + HOST + header)

    assert service.refused.get(timeout=PATIENCE) == "headers_too_large"
    assert service.app.called == []


def test_headers_that_never_end_are_refused_at_the_bound(everyday: Service) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"X: "

    answer = everyday.ask(head + b"a" * (16 * 1024 - len(head) + 1))

    assert answer.status == 431


def test_a_hundred_headers_pass(everyday: Service) -> None:
    assert everyday.ask(with_headers(100)).status == 200


def test_a_hundred_and_one_headers_are_refused(everyday: Service) -> None:
    answer = everyday.ask(with_headers(101))

    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_a_target_of_exactly_the_bound_passes(everyday: Service) -> None:
    assert everyday.ask(get(b"/" + b"a" * (8 * 1024 - 1))).status == 200


@pytest.mark.parametrize("size", [8 * 1024 + 1, 20 * 1024])
def test_a_longer_target_is_refused(everyday: Service, size: int) -> None:
    answer = everyday.ask(get(b"/" + b"a" * (size - 1)))

    assert (answer.status, answer.code) == (414, "uri_too_long")


@pytest.mark.parametrize(
    ("begin", "go_on"),
    [(b"1;", b"a" * 1000), (b"1\r\na\r\n0\r\n", b"X-Trailer: " + b"a" * 1000 + b"\r\n")],
    ids=["chunk extensions", "trailers"],
)
def test_a_body_that_is_all_framing_is_refused(start: Start, begin: bytes, go_on: bytes) -> None:
    service = start(max_discarded_bytes=10_000)
    peer = service.connect()
    peer.send(post(CHUNKED, body=begin))

    pushed = push(peer, go_on)

    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    assert pushed < ENOUGH


def test_a_body_in_chunks_of_one_byte_passes(start: Start) -> None:
    answer = start(max_header_bytes=1024).ask(post(CHUNKED, body=b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"))

    assert (answer.status, answer.body) == (200, b"a" * 20_000)


# -- deadlines -----------------------------------------------------------------------------------------------


def test_headers_that_come_a_byte_at_a_time_time_out(start: Start) -> None:
    peer = start(header_timeout=SHORT).connect()

    peer.buffer = trickle(peer, get(b"/", b"X: " + b"a" * 1000))

    answer = peer.answer()
    assert (answer.status, answer.code) == (408, "header_timeout")
    assert peer.rest() == b""


def test_a_silent_connection_is_closed_without_a_word(start: Start) -> None:
    service = start(header_timeout=SHORT, keep_alive_timeout=PATIENCE * 2)

    assert service.connect().rest() == b""
    assert service.refused.get(timeout=PATIENCE) == "header_timeout"


def test_empty_lines_do_not_extend_the_wait(start: Start) -> None:
    peer = start(header_timeout=SHORT).connect()

    assert trickle(peer, b"\r\n" * 500) == b""


def test_a_request_in_flight_outlives_the_header_and_idle_deadlines(start: Start) -> None:
    service = start(header_timeout=SHORT, keep_alive_timeout=SHORT)
    peer = service.connect()
    peer.send(get(b"/hold"))
    assert service.app.entered.wait(PATIENCE)
    assert service.connect().rest() == b""  # a deadline that began later is over

    service.app.release.set()

    assert peer.answer().body == b"held"


def test_an_idle_connection_is_closed(start: Start) -> None:
    service = start(keep_alive_timeout=SHORT, header_timeout=PATIENCE * 2)
    peer = service.connect()

    assert peer.ask(get()).status == 200
    assert peer.rest() == b""
    assert service.refused.empty()


def test_a_connection_that_is_used_again_in_time_stays(everyday: Service) -> None:
    peer = everyday.connect()

    assert [peer.ask(get()).status for _ in range(3)] == [200, 200, 200]


def test_idle_connections_are_given_up_sooner_when_there_are_many(start: Start) -> None:
    service = start(max_connections=4, crowded_keep_alive_timeout=SHORT)
    peers = [service.connect() for _ in range(4)]
    assert [peer.ask(get()).status for peer in peers] == [200] * 4

    assert peers[0].rest() == b""


def test_the_second_request_of_a_connection_has_a_header_deadline_too(start: Start) -> None:
    peer = start(header_timeout=SHORT).connect()
    assert peer.ask(get()).status == 200

    assert peer.ask(b"GET / HTTP/1.1\r\n").status == 408


# -- connections ---------------------------------------------------------------------------------------------


def test_as_many_connections_as_the_cap_are_served(start: Start) -> None:
    service = start(max_connections=3)

    peers = [service.connect() for _ in range(3)]

    assert [peer.ask(get()).status for peer in peers] == [200] * 3


def test_one_connection_more_is_answered_503_and_closed(start: Start) -> None:
    service = start(max_connections=3, retry_after=7)
    for _ in range(3):
        service.ask(get())
    peer = service.connect()

    answer = peer.answer()

    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "too_many_connections", "7")
    assert peer.rest() == b""


def test_a_tenth_above_the_cap_there_is_no_answer(start: Start) -> None:
    service = start(max_connections=10, linger_timeout=PATIENCE * 2)
    for _ in range(10):
        service.ask(get())
    assert [service.connect().answer().status for _ in range(2)] == [503, 503]

    assert service.connect().rest() == b""


def test_a_connection_that_ends_makes_room(start: Start) -> None:
    service = start(max_connections=1, keep_alive_timeout=SHORT, crowded_keep_alive_timeout=SHORT)
    first = service.connect()
    assert first.ask(get()).status == 200
    assert first.rest() == b""  # idle for too long

    assert service.ask(get()).status == 200


def test_more_requests_than_limit_concurrency_are_answered_503(start: Start) -> None:
    service = start(limit_concurrency=1, retry_after=7)
    service.connect().send(get(b"/hold"))
    assert service.app.entered.wait(PATIENCE)

    answer = service.ask(get())

    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "7")


# -- pipelining ----------------------------------------------------------------------------------------------


def test_pipelined_requests_up_to_the_bound_are_answered_in_order(start: Start) -> None:
    service = start(max_pipelined=3)
    peer = service.connect()

    peer.send(get(b"/hold") + b"".join(post(b"Content-Length: 1", body=b"%d" % n) for n in range(3)))
    assert service.app.entered.wait(PATIENCE)
    service.app.release.set()

    assert [peer.answer().body for _ in range(4)] == [b"held", b"0", b"1", b"2"]
    assert peer.ask(get()).status == 200


def test_one_pipelined_request_more_is_refused_after_the_answers_due_before_it(start: Start) -> None:
    service = start(max_pipelined=3)
    peer = service.connect()

    peer.send(get(b"/hold") + get() * 4)
    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    service.app.release.set()

    assert [peer.answer().status for _ in range(5)] == [200, 200, 200, 200, 400]
    assert peer.rest() == b""


def test_a_malformed_request_never_answers_the_one_before_it(start: Start) -> None:
    service = start()
    peer = service.connect()

    peer.send(get(b"/hold") + b"nonsense\r\n\r\n")
    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    service.app.release.set()

    assert [peer.answer().status for _ in range(2)] == [200, 400]
    assert peer.rest() == b""


def test_a_malformed_body_of_a_waiting_request_is_answered_in_its_turn(start: Start) -> None:
    service = start()
    peer = service.connect()

    peer.send(get(b"/hold") + post(CHUNKED, body=b"nonsense\r\n"))
    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    service.app.release.set()

    assert [peer.answer().status for _ in range(2)] == [200, 400]
    assert service.app.called == ["/hold"]


def test_a_malformed_body_is_the_end_of_the_running_request(start: Start) -> None:
    service = start(linger_timeout=PATIENCE * 2)
    peer = service.connect()

    answer = peer.ask(post(CHUNKED, body=b"1\r\na\r\nnonsense\r\n"))

    assert (answer.status, answer.code) == (400, "bad_request")
    assert peer.rest() == b""
    assert service.app.disconnected.wait(PATIENCE)


def test_a_malformed_body_adds_nothing_to_an_answer_that_has_begun(start: Start) -> None:
    service = start()
    peer = service.connect()
    peer.send(post(CHUNKED, body=b"1\r\na\r\n", path=b"/begun"))
    while b"first" not in peer.buffer:
        assert peer._more()

    peer.send(b"nonsense\r\n")

    assert peer.rest().count(b"HTTP/1.1") == 1
    assert service.app.disconnected.wait(PATIENCE)


def test_what_follows_connection_close_is_not_a_request(start: Start) -> None:
    service = start()
    peer = service.connect()
    peer.send(get(b"/hold", b"Connection: close") + get(b"/smuggled"))
    assert service.app.entered.wait(PATIENCE)
    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    service.app.release.set()

    assert peer.answer().body == b"held"
    assert peer.rest() == b""
    assert service.app.called == ["/hold"]


def test_a_request_that_runs_learns_of_the_disconnect_though_another_waits(start: Start) -> None:
    service = start()
    peer = service.connect()
    peer.send(get(b"/wait") + get())
    assert service.app.entered.wait(PATIENCE)

    peer.socket.close()

    assert service.app.disconnected.wait(PATIENCE)


def test_a_request_does_not_run_in_the_context_of_the_one_before_it(everyday: Service) -> None:
    peer = everyday.connect()

    peer.send(get(b"/mark") * 2)

    assert [peer.answer().body for _ in range(2)] == [b"none", b"none"]


async def test_a_request_runs_in_the_context_of_the_server() -> None:
    marker.set("set at boot")
    line = Line()

    await line.feed(get(b"/mark"), get(b"/mark"))

    assert line.wire.written.count(b"set at boot") == 2


# -- trailers and upgrades -----------------------------------------------------------------------------------


def test_trailers_do_not_become_headers(start: Start) -> None:
    service = start()

    body = b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n"
    answer = service.ask(post(CHUNKED, body=body))

    assert answer.body == b"a"
    [scope] = service.app.scopes
    assert [name for name, _ in scope["headers"]] == [b"host", b"transfer-encoding"]


UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")


@pytest.mark.parametrize("headers", [(b"Content-Length: 20",), (CHUNKED,)], ids=["length", "chunked"])
def test_an_upgrade_is_ignored_and_its_body_is_a_body(start: Start, headers: tuple[bytes, ...]) -> None:
    service = start()
    peer = service.connect()
    inner = b"GET /smuggled HTTP/1"
    body = inner if headers != (CHUNKED,) else b"14\r\n" + inner + b"\r\n0\r\n\r\n"

    answers = [peer.ask(post(*UPGRADE, *headers, body=body)).body, peer.ask(get()).body]

    assert [inner, b"ok"] == answers
    assert service.app.called == ["/echo", "/"]


def test_a_websocket_handshake_is_a_plain_request(everyday: Service) -> None:
    handshake = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")

    assert everyday.ask(get(b"/", *handshake)).status == 200


def test_a_malformed_request_behind_an_upgrade_is_no_failure_of_ours(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    peer = start().connect()

    peer.send(get(b"/", *UPGRADE) + b"no request\r\n\r\n")

    assert [peer.answer().status for _ in range(2)] == [200, 400]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_many_pipelined_upgrades_are_bounded(start: Start) -> None:
    service = start(max_pipelined=3)
    peer = service.connect()

    peer.send(get(b"/hold") + get(b"/", *UPGRADE) * 400)
    assert service.refused.get(timeout=PATIENCE) == "bad_request"
    service.app.release.set()

    assert [peer.answer().status for _ in range(5)] == [200, 200, 200, 200, 400]


# -- bodies that nobody reads, and answers that nobody reads ---------------------------------------------------


def test_the_rest_of_an_unread_body_is_dropped_and_the_connection_used_again(start: Start) -> None:
    service = start()
    peer = service.connect()
    head, half = post(b"Content-Length: 20000", body=b"", path=b"/"), b"a" * 10_000

    assert peer.ask(head + half).status == 200
    assert peer.ask(half + get()).status == 200


def test_a_peer_cannot_push_an_unread_body_for_ever(start: Start) -> None:
    service = start(linger_timeout=PATIENCE * 2)
    peer = service.connect()
    assert peer.ask(post(b"Content-Length: 9999999999", body=b"", path=b"/")).status == 200

    assert push(peer, bytes(65536)) < ENOUGH


def test_a_refused_peer_cannot_push_for_ever(start: Start) -> None:
    service = start(linger_timeout=PATIENCE * 2)
    peer = service.connect()
    assert peer.ask(b"nonsense\r\n").status == 400

    assert push(peer, bytes(65536)) < ENOUGH


def test_an_unread_body_that_stops_coming_ends_the_connection(start: Start) -> None:
    peer = start(linger_timeout=SHORT, keep_alive_timeout=PATIENCE * 2).connect()
    assert peer.ask(post(b"Content-Length: 9999", body=b"a", path=b"/")).status == 200

    assert peer.rest() == b""


def test_the_answer_to_an_unread_body_is_not_lost_in_a_reset(start: Start) -> None:
    service = start()
    peer = service.connect()

    peer.send(post(b"Content-Length: 200000", b"Connection: close", body=bytes(100_000), path=b"/"))
    answer = peer.answer()

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    peer.send(bytes(100_000))
    assert peer.rest() == b""


@pytest.mark.parametrize("path", [b"/large", b"/pieces"])
@pytest.mark.parametrize("headers", [(), (b"Connection: close",)], ids=["keep-alive", "close"])
def test_a_peer_that_does_not_read_is_let_go(start: Start, path: bytes, headers: tuple[bytes, ...]) -> None:
    service = start(write_timeout=SHORT)
    peer = service.connect(receive_buffer=4096)

    peer.send(get(path, *headers))

    assert service.refused.get(timeout=PATIENCE) == "write_timeout"
    assert service.app.disconnected.wait(PATIENCE)


# -- failures and the end ------------------------------------------------------------------------------------


def test_an_exception_of_the_application_says_nothing(everyday: Service, caplog: pytest.LogCaptureFixture) -> None:
    answer = everyday.ask(get(b"/crash"))

    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


def test_while_draining_every_answer_ends_its_connection(start: Start) -> None:
    service = start()
    held, idle = service.connect(), service.connect()
    held.send(get(b"/hold"))
    assert service.app.entered.wait(PATIENCE)
    assert "connection" not in idle.ask(get()).headers

    service.guard.drain()
    service.app.release.set()

    assert [answer.headers["connection"] for answer in (held.answer(), idle.ask(get()), service.ask(get()))] == [
        "close"
    ] * 3


def test_refusals_are_counted_by_code(start: Start) -> None:
    service = start()

    for request in (b"nonsense\r\n", b"nonsense\r\n", get(b"/", b"X: a\0b"), b"GET / HTTP/1.1\r\n\r\n"):
        service.ask(request)

    assert service.guard.refusals == {"bad_request": 3, "host_invalid": 1}


# -- how the bytes are cut -----------------------------------------------------------------------------------


class Wire:
    """A transport that keeps what is written, so that the test decides about each read."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False  # nothing more will be written
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> None:
        return None


class Clock:
    """The part of a loop that the protocol uses, with a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.create_task = asyncio.get_running_loop().create_task

    def time(self) -> float:
        return self.now

    def call_later(self, *_: object) -> None: ...


class Line:
    """One connection whose reads and whose time the test decides."""

    def __init__(self, **limits: Any) -> None:
        self.wire, self.clock, self.state = Wire(), Clock(), ServerState()
        self.guard = HttpGuard(HttpLimits(**limits))
        config = uvicorn.Config(Application(), log_config=None, ws="none", http=self.guard.protocol_class())
        config.load()
        make: Any = config.http_protocol_class
        self.protocol = make(config, self.state, {}, _loop=self.clock)
        self.protocol.connection_made(self.wire)

    async def feed(self, *chunks: bytes) -> None:
        """Have each chunk read by itself, unless the connection has ended."""
        for chunk in chunks:
            if not self.wire.ended:
                self.protocol.data_received(chunk)
            for _ in range(5):  # turns of the loop: more than any handler here takes, once it has its body
                await asyncio.sleep(0)

    def after(self, seconds: float) -> None:
        """Let time pass, then look at the deadlines."""
        self.clock.now += seconds
        self.protocol.expire(self.clock.now, self.guard.limits.keep_alive_timeout)

    def statuses(self) -> list[bytes]:
        return [answer.partition(b" ")[0] for answer in self.wire.written.split(b"HTTP/1.1 ")[1:]]


async def outcome(*chunks: bytes, **limits: Any) -> tuple[list[bytes], bool]:
    """Return the statuses of the answers, and whether the connection ended."""
    line = Line(**limits)
    await line.feed(*chunks)
    result = line.statuses(), line.wire.ended
    line.protocol.connection_lost(None)
    return result


STREAMS = {
    "two requests": get() + get(),
    "a body and a request": post(b"Content-Length: 30", body=b"a" * 30) + get(),
    "chunks, a trailer and a request": post(CHUNKED, body=b"2\r\nab\r\n0\r\nX: y\r\n\r\n") + get(),
    "an upgrade with a body": post(*UPGRADE, b"Content-Length: 3", body=b"abc") + get(),
    "an upgrade in chunks": post(*UPGRADE, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n") + get(),
    "a head at the bound": padded(300),
    "a head past the bound": padded(301),
    "a head at the bound behind a request": get() + padded(300),
    "a head past the bound behind a request": get() + padded(301),
    "a head past the bound behind a body": post(b"Content-Length: 300", body=b"a" * 300) + padded(301),
    "two hosts": get(b"/", b"Host: b"),
    "a request behind close": get(b"/", b"Connection: close") + get(),
    "a malformed chunk": post(CHUNKED, body=b"2\r\nab\r\nx"),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_the_answers_do_not_depend_on_how_the_bytes_are_cut(case: str) -> None:
    stream = STREAMS[case]
    whole = await outcome(stream, max_header_bytes=300)

    for cut in range(1, len(stream)):
        assert whole == await outcome(stream[:cut], stream[cut:], max_header_bytes=300), stream[:cut]
    assert whole == await outcome(*(bytes([byte]) for byte in stream), max_header_bytes=300)


async def test_content_pays_for_its_framing() -> None:
    chunks = [b"1\r\na\r\n" * 10] * 100

    statuses, _ = await outcome(post(CHUNKED, body=b""), *chunks, b"0\r\n\r\n", max_header_bytes=300)

    assert statuses == [b"200"]


@pytest.mark.parametrize("framing", [CHUNKED, b"Content-Length: 524288"])
async def test_an_honest_body_passes_however_large_its_reads_are(framing: bytes) -> None:
    """A read of a transport may bring far more than the bound of what is not body; none of it is framing here."""
    body = bytes(512 * 1024)
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if framing == CHUNKED else body
    reads = [content[at : at + 200_000] for at in range(0, len(content), 200_000)]

    statuses, _ = await outcome(post(framing, body=b""), *reads)

    assert statuses == [b"200"]


async def test_content_does_not_pay_for_the_trailers_after_it() -> None:
    content = b"%x\r\n%s\r\n0\r\n" % (60_000, bytes(60_000))
    trailers = [b"X: " + b"a" * 95 + b"\r\n"] * 10

    statuses, _ = await outcome(post(CHUNKED, body=b""), content, *trailers, max_header_bytes=300)

    assert statuses == [b"400"]


async def test_the_header_deadline_begins_with_the_first_byte() -> None:
    line = Line(header_timeout=5.0, keep_alive_timeout=60.0)
    await line.feed(get())
    line.after(50.0)

    await line.feed(b"GET / ")
    line.after(5.0)
    assert line.statuses() == [b"200"]

    line.after(0.1)
    assert line.statuses() == [b"200", b"408"]


async def test_the_idle_deadline_begins_with_the_answer() -> None:
    line = Line(keep_alive_timeout=60.0)
    await line.feed(post(b"Content-Length: 1", body=b""))
    line.after(4.0)
    await line.feed(b"a")

    line.after(60.0)
    assert not line.wire.closed

    line.after(0.1)
    assert line.wire.closed


async def test_the_idle_deadline_begins_with_the_end_of_an_unread_body() -> None:
    line = Line(keep_alive_timeout=5.0, linger_timeout=2.0)
    await line.feed(post(b"Content-Length: 2", body=b"a", path=b"/"))
    line.after(1.0)
    await line.feed(b"b")

    line.after(5.0)
    assert not line.wire.closed

    line.after(0.1)
    assert line.wire.closed


async def test_a_refused_peer_that_never_closes_is_let_go() -> None:
    line = Line(linger_timeout=2.0)
    await line.feed(b"nonsense")

    line.after(2.0)
    assert not line.wire.closed

    line.after(0.1)
    assert line.wire.closed


@pytest.mark.parametrize("headers", [(), (b"Connection: close",)], ids=["keep-alive", "close"])
async def test_a_body_that_was_held_back_is_drained_once_the_answer_is_out(headers: tuple[bytes, ...]) -> None:
    line = Line()

    line.protocol.data_received(post(b"Content-Length: 200000", *headers, body=bytes(100_000), path=b"/"))
    assert not line.wire.reading
    await line.feed(b"a")  # whose read gives the application its turns

    assert (line.statuses(), line.wire.reading) == ([b"200"], True)


async def test_nothing_is_written_on_a_connection_that_was_closed() -> None:
    line = Line()
    await line.feed(get(b"/", b"Connection: close"))
    assert line.wire.closed

    line.protocol.data_received(get())

    assert line.statuses() == [b"200"]

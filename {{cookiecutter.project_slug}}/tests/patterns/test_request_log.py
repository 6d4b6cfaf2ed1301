from __future__ import annotations

import asyncio
import os
import queue
import socket
import struct
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2
import orjson
import pytest
import structlog
from fastapi import BackgroundTasks, FastAPI
from starlette.responses import StreamingResponse

from app.patterns.redaction import Redactor
from app.patterns.request_log import RequestLog, caller_subject, new_request_id
from app.patterns.structured_logging import REQUEST_CONTEXT, LoggingConfig, configure_logging
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTEXT: ContextVar[Mapping[str, Any] | None] = ContextVar("test_context", default=None)
HEX = frozenset("0123456789abcdef")


class Lines:
    """Keeps what was emitted; a test waits for the next line and never sleeps."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def emit(self, level: str, event: str, /, **fields: Any) -> None:
        self.queue.put({"level": level, "event": event} | fields)

    def next(self) -> dict[str, Any]:
        return self.queue.get(timeout=10)

    def only(self) -> dict[str, Any]:
        line = self.next()
        assert self.queue.empty()
        return line


@pytest.fixture
def lines() -> Lines:
    return Lines()


def log(app: ASGIApp, lines: Lines, **options: Any) -> RequestLog:
    options.setdefault("emit", lines.emit)
    return RequestLog(app, context=CONTEXT, **options)


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def service() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/v1/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        return {"order": order_id}

    @app.get("/crash")
    async def crash() -> None:
        raise ValueError("password=hunter2")

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> None:
        return None

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one", b"two", b"three"):
                yield part

        return StreamingResponse(parts())

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError

        return StreamingResponse(parts())

    return app


# -- one line for each request, over a real socket


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (
            "GET",
            "/v1/orders/17?token=x",
            {"level": "info", "route": "/v1/orders/{order_id}", "status": 200, "bytes_out": 14},
        ),
        ("GET", "/nowhere", {"level": "info", "route": "unmatched", "status": 404}),
        ("POST", "/v1/orders/17", {"level": "info", "method": "POST", "status": 405}),
        ("INVENT", "/v1/orders/17", {"level": "info", "method": "OTHER", "status": 405}),
        ("GET", "/unavailable", {"level": "error", "route": "/unavailable", "status": 503}),
        ("GET", "/crash", {"level": "error", "route": "/crash", "status": 500}),
        ("GET", "/stream", {"level": "info", "route": "/stream", "status": 200, "bytes_out": 11}),
    ],
)
def test_a_request_leaves_exactly_one_line(lines: Lines, method: str, path: str, expected: dict[str, Any]) -> None:
    with serve(log(service(), lines), http="h11") as url:
        response = httpx2.request(method, url + path)
    assert response.status_code == expected["status"]
    line = lines.only()
    assert expected == {key: line[key] for key in expected}
    assert (line["event"], line["client"]) == ("request", "127.0.0.1")
    assert line["duration_ms"] > 0
    assert "token" not in str(line)


def test_an_application_that_fails_under_nobodys_care_leaves_its_line_too(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("password=hunter2")

    with serve(log(app, lines), lifespan="off") as url:
        assert httpx2.get(url).status_code == 500
    line = lines.only()
    assert (line["level"], line["status"], line["code"], line["error"]) == (
        "error",
        500,
        "internal_error",
        "ValueError",
    )
    assert "hunter2" not in str(line)


def test_an_answer_that_breaks_off_is_an_error(lines: Lines) -> None:
    with serve(log(service(), lines)) as url, pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(url + "/broken-stream")
    line = lines.only()
    assert (line["level"], line["status"], line["code"], line["bytes_out"]) == ("error", 200, "response_truncated", 3)


def test_requests_of_one_connection_each_leave_their_line(lines: Lines) -> None:
    with serve(log(service(), lines)) as url, httpx2.Client(base_url=url) as client:
        ids = [client.get(f"/v1/orders/{number}").headers["x-request-id"] for number in range(5)]
    assert ids == [lines.next()["request_id"] for _ in range(5)]
    assert lines.queue.empty()
    assert len(set(ids)) == 5


def test_the_line_comes_with_the_last_byte_and_not_after_background_work(lines: Lines) -> None:
    done = threading.Event()
    app = FastAPI()

    @app.get("/")
    async def start(background: BackgroundTasks) -> None:
        background.add_task(done.wait, 10)

    with serve(log(app, lines)) as url:
        httpx2.get(url)
        assert lines.only()["status"] == 200
        done.set()


# -- clients that leave


class Leaving:
    """A client on a raw socket that leaves once the application has begun."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def leave(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


async def until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("listens", [True, False])
def test_a_client_that_leaves_before_its_answer_is_a_499(
    lines: Lines, http: str, *, answers: bool, listens: bool
) -> None:
    begun = threading.Event()
    receives: list[Receive] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        # One that listens sees the message itself; of one that does not, the server alone knows.
        await until_disconnected(receive if listens else receives[0])
        if answers:
            await ok(scope, receive, send)

    logged = log(app, lines)

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        receives.append(receive)
        await logged(scope, receive, send)

    with serve(outside, http=http, lifespan="off") as url:
        client = Leaving(url)
        assert begun.wait(10)
        client.leave()
        line = lines.only()
    assert (line["level"], line["status"], line["code"]) == ("info", 499, "client_disconnected")
    assert line.get("answer") == (200 if answers else None)


def test_a_client_that_leaves_in_the_middle_of_a_stream_is_a_499(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await until_disconnected(receive)
        raise OSError("nobody there")

    with serve(log(app, lines), lifespan="off") as url:
        client = Leaving(url)
        assert b"200" in client.socket.recv(100)
        client.leave()
        line = lines.only()
    assert (line["status"], line["answer"], line["bytes_out"], line["error"]) == (499, 200, 5, "OSError")


# -- without a server


def scope_of(*headers: tuple[bytes, bytes], **more: Any) -> Scope:
    return {"type": "http", "method": "GET", "path": "/", "headers": list(headers), "client": ("192.0.2.1", 5)} | more


class Wire:
    def __init__(self, *incoming: Message) -> None:
        self.incoming = list(incoming)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("sent", [b"8-digits", b"A.b_c-" + b"9" * 58, b"4bf92f3577b34da6a3ce929d0e0e4736"])
async def test_an_id_that_the_client_sent_is_taken_over(lines: Lines, sent: bytes) -> None:
    wire, scope = Wire(), scope_of((b"host", b"x"), (b"x-request-id", sent))
    await log(ok, lines)(scope, wire.receive, wire.send)
    assert scope["state"]["request_id"] == sent.decode()
    assert (b"x-request-id", sent) in wire.sent[0]["headers"]
    assert lines.only()["request_id"] == sent.decode()


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b""],
        [b"seven77"],
        [b"x" * 65],
        [b"with space"],
        [b"line\nbreak"],
        [b"ends-with\n"],
        [b"semi;colon"],
        [b"\xff" * 10],
        ["Ⅷ8888888".encode()],
        [b"twice-once", b"twice-twice"],
        [b"twice-same", b"twice-same"],
    ],
    ids=repr,
)
async def test_an_id_that_is_not_acceptable_is_replaced(lines: Lines, sent: list[bytes]) -> None:
    wire, scope = Wire(), scope_of(*((b"x-request-id", value) for value in sent))
    await log(ok, lines)(scope, wire.receive, wire.send)
    made = lines.only()["request_id"]
    assert len(made) == 32
    assert set(made) <= HEX
    assert scope["state"]["request_id"] == made
    assert [value for name, value in wire.sent[0]["headers"] if name == b"x-request-id"] == [made.encode()]


def test_ids_differ() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000


async def test_the_ids_maker_can_be_replaced(lines: Lines) -> None:
    wire = Wire()
    await log(ok, lines, new_id=lambda: "made-here")(scope_of(), wire.receive, wire.send)
    assert lines.only()["request_id"] == "made-here"


async def test_a_message_that_the_application_keeps_is_not_changed(lines: Lines) -> None:
    start: Message = {"type": "http.response.start", "status": 204, "headers": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    wire = Wire()
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    assert start == {"type": "http.response.start", "status": 204, "headers": []}
    assert len(wire.sent[0]["headers"]) == 1
    assert lines.only()["status"] == 204


async def test_what_is_not_http_passes_untouched(lines: Lines) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send, CONTEXT.get()))

    wire = Wire()
    scope: Scope = {"type": "websocket"}
    receive, send = wire.receive, wire.send
    await log(app, lines)(scope, receive, send)
    assert seen == [{"type": "websocket"}, receive, send, None]
    assert lines.queue.empty()


@pytest.mark.parametrize(
    ("error", "name"),
    [(ValueError(), "ValueError"), (asyncio.CancelledError(), "CancelledError"), (SystemExit(), "SystemExit")],
)
async def test_a_failure_before_the_answer_is_a_500_and_goes_on(lines: Lines, error: BaseException, name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    wire = Wire()
    with pytest.raises(type(error)):
        await log(app, lines)(scope_of(), wire.receive, wire.send)
    line = lines.only()
    assert (line["level"], line["status"], line["code"], line["error"]) == ("error", 500, "internal_error", name)
    assert CONTEXT.get() is None


async def test_an_application_that_never_answers_is_a_500(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Return without a word."""

    wire = Wire()
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    line = lines.only()
    assert (line["level"], line["status"], line["code"]) == ("error", 500, "internal_error")


async def test_an_application_that_never_finishes_its_answer_is_an_error(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    wire = Wire()
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    line = lines.only()
    assert (line["level"], line["status"], line["code"]) == ("error", 200, "response_truncated")


async def test_a_failure_after_the_answer_leaves_no_second_line(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        raise KeyError

    wire = Wire()
    with pytest.raises(KeyError):
        await log(app, lines)(scope_of(), wire.receive, wire.send)
    assert lines.only()["status"] == 200


async def test_a_disconnect_message_before_the_answer_is_a_499_on_any_server(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    wire = Wire({"type": "http.disconnect"})
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    assert lines.only()["status"] == 499


async def test_a_disconnect_message_after_the_answer_changes_nothing(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        await receive()

    wire = Wire({"type": "http.disconnect"})
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    assert lines.only()["status"] == 200


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"code": "rate_limited"}, {"code": "rate_limited"}),
        (
            {"code": "unauthenticated", "reason": "token_expired"},
            {"code": "unauthenticated", "reason": "token_expired"},
        ),
        ({"trace_id": "ab", "span_id": "cd"}, {"trace_id": "ab", "span_id": "cd"}),
        ({"client": "203.0.113.9"}, {"client": "203.0.113.9"}),
    ],
)
async def test_facts_that_inner_layers_found_are_told(
    lines: Lines, state: dict[str, str], expected: dict[str, str]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"].update(state)
        await ok(scope, receive, send)

    wire = Wire()
    await log(app, lines)(scope_of(), wire.receive, wire.send)
    line = lines.only()
    assert expected == {key: line[key] for key in expected}


async def test_what_is_not_known_is_not_told(lines: Lines) -> None:
    wire = Wire()
    await log(ok, lines)(scope_of(client=None), wire.receive, wire.send)
    line = lines.only()
    assert line["client"] == "unknown"
    assert not line.keys() & {"caller", "trace_id", "span_id", "code", "answer", "error"}


@pytest.mark.parametrize(
    ("seconds", "status", "level"),
    [(0.999, 200, "info"), (1.0, 200, "warning"), (1.0, 404, "warning"), (1.0, 500, "error")],
)
async def test_a_slow_answer_is_a_warning(lines: Lines, seconds: float, status: int, level: str) -> None:
    now = 100.0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal now
        now += seconds
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    wire = Wire()
    await log(app, lines, clock=lambda: now, slow_seconds=1.0)(scope_of(), wire.receive, wire.send)
    line = lines.only()
    assert (line["level"], line["duration_ms"]) == (level, pytest.approx(seconds * 1000))


class Principal:
    def __init__(self, subject: object) -> None:
        self.subject = subject


@pytest.mark.parametrize("subject", ["u-17", "auth0|5f7c8ec7c33c6c004bbafe82", "spiffe:a/b", "x" * 64])
def test_a_caller_with_a_plain_subject_is_told_by_it(subject: str) -> None:
    assert caller_subject({"state": {"principal": Principal(subject)}}) == subject


@pytest.mark.parametrize("subject", ["bob@example.com", "x" * 65, "a b", "a\nb", "\u202e", "\ud800", ""])
def test_any_other_caller_is_told_by_a_stable_pseudonym(subject: str) -> None:
    told = caller_subject({"state": {"principal": Principal(subject)}})
    assert told is not None
    assert told == caller_subject({"state": {"principal": Principal(subject)}})
    assert told[0] == "~"
    assert len(told) == 17
    assert set(told[1:]) <= HEX


def test_nobody_is_nobody() -> None:
    assert caller_subject({"state": {}}) is None


# -- context


async def test_the_context_is_the_requests_and_does_not_leak(lines: Lines) -> None:
    inside = 0
    everybody = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        if inside == 20:
            everybody.set()
        await everybody.wait()
        context = CONTEXT.get()
        assert context is scope
        await ok(scope, receive, send)

    layer = log(app, lines)

    async def request(number: int) -> None:
        wire = Wire()
        header = (b"x-request-id", b"request-%d" % number)
        await layer(scope_of(header), wire.receive, wire.send)
        assert header in wire.sent[0]["headers"]
        assert CONTEXT.get() is None

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(request, number)
    assert {f"request-{number}" for number in range(20)} == {lines.next()["request_id"] for _ in range(20)}
    assert lines.queue.empty()


# -- together with structured logging


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_the_handlers_lines_carry_the_id_of_the_request_line(tmp_path: Path, renderer: Any) -> None:
    app = FastAPI()

    @app.get("/v1/orders/{order_id}")
    async def order(order_id: str) -> None:
        structlog.get_logger("app.orders").info("looked up", order=order_id, password="hunter2")

    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    logs = configure_logging(LoggingConfig(renderer=renderer), redact=Redactor().redact, fd=fd)
    try:
        with serve(RequestLog(app, emit=logs.emit, context=REQUEST_CONTEXT)) as url:
            httpx2.get(url + "/v1/orders/17%0Aforged", headers={"x-request-id": "from-outside"})
    finally:
        logs.close()
        os.close(fd)
    raw = (tmp_path / "log").read_bytes()
    ours = [line for line in raw.splitlines() if b"from-outside" in line]
    assert len(ours) == 2
    assert all(b"/v1/orders/{order_id}" in line for line in ours)
    assert b"hunter2" not in raw
    assert not [line for line in raw.splitlines() if line.startswith(b"forged")]
    if renderer == "json":
        first, second = (orjson.loads(line) for line in ours)
        assert (first["event"], first["order"], second["event"]) == ("looked up", "17\\nforged", "request")
        assert (second["logger"], second["level"], second["status"]) == ("app.request", "info", 200)

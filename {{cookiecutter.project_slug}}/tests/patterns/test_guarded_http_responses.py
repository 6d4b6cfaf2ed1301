"""What leaves the server, byte for byte: one write where that is safe, uvicorn's own way where it is not."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from app.patterns.guarded_http import HttpGuard
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

START = "http.response.start"
BODY = "http.response.body"


def head(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": START, "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": BODY, "body": data, "more_body": more}


def length(number: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % number


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "whole": [head(200, length(5), (b"x-a", b"1")), body(b"hello")],
    "empty": [head(200, length(0)), body()],
    "large": [head(200, length(100_000)), body(b"x" * 100_000)],
    "parts": [head(200, length(5)), body(b"he", more=True), body(b"llo")],
    "trailing": [head(200, length(5)), body(b"hello", more=True), body()],
    "undeclared": [head(200), body(b"hello")],
    "nothing": [head(204), body()],
    "unmodified": [head(304, length(5)), body()],
    "close": [head(200, length(5), (b"connection", b"close")), body(b"hello")],
    "chunked": [head(200, (b"transfer-encoding", b"chunked")), body(b"hello")],
    "split": [head(200, length(5), (b"x-a", b"1\r\nset-cookie: stolen=1")), body(b"hello")],
    "feed": [head(200, length(5), (b"x-a", b"1\nset-cookie: stolen=1")), body(b"hello")],
    "nul": [head(200, length(5), (b"x-a", b"1\x002")), body(b"hello")],
    "name": [head(200, length(5), (b"x-a: 1\r\nset-cookie", b"stolen=1")), body(b"hello")],
    "spaced": [head(200, length(5), (b"x a", b"1")), body(b"hello")],
    "short": [head(200, length(9)), body(b"hello")],
    "long": [head(200, length(2)), body(b"hello")],
    "twice": [head(200, length(5)), head(500, length(5)), body(b"hello")],
    "crash": [head(200, length(5))],
}


async def application(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError(scope["type"])
    name = scope["path"].strip("/")
    if name == "iterator":  # ASGI allows any iterable of headers, so also one that can be read only once
        await send({"type": START, "status": 200, "headers": iter([(b"x-a", b"1"), length(5)])})
        await send(body(b"hello"))
        return
    for message in ANSWERS[name]:
        await send(message)
    if name == "crash":
        raise ValueError("after the head, before the body")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = {"ws": "none", "lifespan": "off", "date_header": False, "server_header": False}
    with serve(application, http=HttpGuard().protocol_class(), **options) as base:
        yield base


def answer(url: str, path: str, method: str = "GET") -> bytes:
    """Return everything that comes for one request; the connection is closed by who answers, or at the next request."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10) as peer:
        peer.sendall(f"{method} /{path} HTTP/1.1\r\nhost: x\r\n\r\nGET /close HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        received = b""
        # A server that ends the connection may do so before it has read the second request: a reset, after its answer.
        with contextlib.suppress(ConnectionResetError):
            while chunk := peer.recv(65_536):
                received += chunk
    return received.split(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")[0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("whole", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\nhello"),
        ("empty", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("large", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000),
        ("iterator", b"HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello"),
        ("parts", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        ("undeclared", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("nothing", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_an_answer_is_what_the_application_said(url: str, path: str, expected: bytes) -> None:
    assert expected == answer(url, path)


def test_an_answer_to_head_has_no_body(url: str) -> None:
    assert answer(url, "whole", "HEAD") == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\n"


@pytest.mark.parametrize("path", ["split", "feed", "nul", "name", "spaced"])
def test_a_header_that_would_break_out_never_leaves(url: str, path: str) -> None:
    received = answer(url, path)
    assert b"stolen" not in received
    assert b"hello" not in received


@pytest.mark.parametrize("path", ["long", "twice", "unmodified"])
def test_an_answer_that_contradicts_itself_does_not_pass_as_whole(url: str, path: str) -> None:
    assert not answer(url, path).endswith(b"hello")


def test_an_answer_that_is_too_short_ends_the_connection_so_that_it_shows(url: str) -> None:
    assert answer(url, "short") == b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"


def test_a_crash_between_head_and_body_is_told_as_what_it_is(url: str) -> None:
    received = answer(url, "crash")
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"internal_error" in received
    assert b"200 OK" not in received


def raw(url: str, request: bytes) -> bytes:
    """Return everything that comes until the server ends the connection."""
    received = b""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10) as peer:
        peer.sendall(request)
        while chunk := peer.recv(65_536):
            received += chunk
    return received


def test_a_client_that_asks_for_the_end_of_the_connection_gets_it(url: str) -> None:
    received = raw(url, b"GET /whole HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"connection: close\r\n" in received
    assert received.endswith(b"hello")


def test_an_end_that_comes_after_the_last_byte_does_not_cost_the_connection(url: str) -> None:
    received = raw(url, b"GET /trailing HTTP/1.1\r\nhost: x\r\n\r\nGET /close HTTP/1.1\r\nhost: x\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2

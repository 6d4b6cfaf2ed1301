"""Calls to other services are bounded, whatever the other side does. Every peer here is a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import logging
import socket
import ssl
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from app.patterns.http_client import (
    MAX_RETRY_AFTER,
    HttpClient,
    HttpClientConfig,
    UpstreamBadAnswer,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UrlFetcher,
    parse_retry_after,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
FINE = JSON + b"content-length: 13\r\n\r\n" + b'{"fine":true}'
LIMIT = 64 * 1024
BOUNDS = HttpClientConfig(timeout=5.0, connect_timeout=1.0, max_response=LIMIT, max_headers=8192)
SHORT = HttpClientConfig(timeout=0.2, connect_timeout=0.2)


@dataclass
class Peer:
    """What a peer has seen: the head and the body of each request, and how many connections."""

    url: str = ""
    port: int = 0
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def line(self) -> str:
        return self.requests[-1][0].partition("\r\n")[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.requests[-1][0].split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


@contextlib.asynccontextmanager
async def peer(
    answer: bytes | Callable[[asyncio.StreamWriter], Awaitable[None]] = FINE,
    *,
    close: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    """Read requests and send ``answer`` to each, byte for byte; then close, unless told otherwise."""
    seen, connections = Peer(), dict[asyncio.Task[Any], asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        connections[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (line[15:] for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
                )
                seen.requests.append((head, await reader.readexactly(int(length))))
                seen.arrived.set()
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(writer)
                if close:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{seen.port}"
    try:
        yield seen
    finally:
        server.close()
        for task, writer in connections.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn


@contextlib.asynccontextmanager
async def client(url: str, config: HttpClientConfig = BOUNDS, **options: Any) -> AsyncIterator[HttpClient]:
    made = HttpClient(url, config, **options)
    try:
        yield made
    finally:
        await made.aclose()


async def failure(answer: Any, config: HttpClientConfig = BOUNDS, **options: Any) -> UpstreamError:
    """Return how a call to a peer that answers like this fails."""
    async with peer(answer, **options) as server, client(server.url, config) as http:
        with pytest.raises(UpstreamError) as caught:
            (await http.send("GET", "/x")).json()
        return caught.value


# --- an ordinary call ---------------------------------------------------------------------------------------------


async def test_a_call_carries_its_body_headers_and_credentials_and_returns_the_answer() -> None:
    async with peer() as server, client(f"{server.url}/v1/", headers={"authorization": "Bearer secret"}) as http:
        answer = await http.send(
            "POST", "/charges", json={"amount": 5}, params={"q": "a b&c"}, headers={"x-request-id": "abc"}
        )
    assert (answer.status, answer.json()) == (200, {"fine": True})
    assert server.line == "POST /v1/charges?q=a+b%26c HTTP/1.1"
    assert server.requests[0][1] == b'{"amount":5}'
    expected = {
        "host": f"127.0.0.1:{server.port}", "accept": "application/json", "accept-encoding": "gzip",
        "authorization": "Bearer secret", "content-type": "application/json", "x-request-id": "abc",
        "content-length": "12",
    }  # fmt: skip
    assert server.headers == expected


async def test_a_connection_is_used_again() -> None:
    async with peer(close=False) as server, client(server.url) as http:
        for _ in range(3):
            await http.send("GET", "/x")
        assert (len(server.requests), server.connections) == (3, 1)


async def test_a_compressed_answer_is_unpacked() -> None:
    packed = gzip.compress(b'{"fine":true}')
    answer = JSON + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    async with peer(answer) as server, client(server.url) as http:
        assert (await http.send("GET", "/x")).json() == {"fine": True}


async def test_a_cookie_is_not_kept_from_one_call_to_the_next() -> None:
    answer = FINE.replace(b"\r\n\r\n", b"\r\nset-cookie: session=somebody; path=/\r\n\r\n")
    async with peer(answer) as server, client(server.url) as http:
        await http.send("GET", "/x")
        await http.send("GET", "/x")
    assert "cookie" not in server.headers


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer() as nobody, peer() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, nobody.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with client(server.url) as http:
            await http.send("GET", "/x")
    assert (nobody.connections, server.connections) == (0, 1)


async def test_a_proxy_that_is_set_is_used() -> None:
    async with peer() as proxy, client("http://127.0.0.1:9/v1", HttpClientConfig(proxy=proxy.url)) as http:
        await http.send("GET", "/x")
    assert proxy.line == "GET http://127.0.0.1:9/v1/x HTTP/1.1"


async def test_nothing_about_a_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with peer() as server, client(server.url) as http:
        await http.send("GET", "/x", params={"card": "4111"})
    assert [record for record in caplog.records if record.name != "asyncio"] == []


# --- a path stays where it was sent -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "", "x", "http://evil.example/", "//evil.example/", "/a//b", "/..", "/a/../b", "/a/.", "/./a", "/a/",
        "\\\\evil", "/a\\b", "/a?b=c", "/a#b", "/a b", "/a\r\nhost: evil", "/%2e%2e/a", "/é", "/{Id}", "/{}",
        "/a" * 2000,
    ],
)  # fmt: skip
async def test_a_path_that_is_no_template_is_refused_and_nothing_sent(path: str) -> None:
    async with peer() as server, client(server.url) as http:
        with pytest.raises(ValueError, match="template"):
            await http.send("GET", path)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("7", "GET /v1/charges/7/refund HTTP/1.1"),
        ("../../admin", "GET /v1/charges/..%2F..%2Fadmin/refund HTTP/1.1"),
        ("a/b?c#d", "GET /v1/charges/a%2Fb%3Fc%23d/refund HTTP/1.1"),
        ("%2e%2e", "GET /v1/charges/%252e%252e/refund HTTP/1.1"),
        ("a\r\nhost: evil", "GET /v1/charges/a%0D%0Ahost%3A%20evil/refund HTTP/1.1"),
        ("@evil.example", "GET /v1/charges/%40evil.example/refund HTTP/1.1"),
        ("é\\", "GET /v1/charges/%C3%A9%5C/refund HTTP/1.1"),
    ],
)
async def test_a_value_cannot_leave_its_segment(value: str, line: str) -> None:
    async with peer() as server, client(f"{server.url}/v1") as http:
        await http.send("GET", "/charges/{id}/refund", values={"id": value})
    assert server.line == line


@pytest.mark.parametrize("value", ["", ".", "..", "x" * 2049])
async def test_a_value_that_would_be_read_as_another_path_is_refused(value: str) -> None:
    async with peer() as server, client(server.url) as http:
        with pytest.raises(ValueError, match="value"):
            await http.send("GET", "/charges/{id}", values={"id": value})
    assert server.connections == 0


@given(st.text())
def test_no_value_changes_the_segments_around_it(value: str) -> None:
    http = HttpClient("http://127.0.0.1:9/v1")
    try:
        target = http._target("/charges/{id}/refund", {"id": value})
    except ValueError:
        return
    first, charges, segment, refund = target.split("/")
    assert (first, charges, refund) == ("", "charges", "refund")
    assert segment not in {"", ".", ".."}
    assert not set(segment) & set("?#\\ \r\n")


@pytest.mark.parametrize(
    "url",
    [
        "", "payments", "ftp://host", "file:///etc/passwd", "http://", "http://user:secret@host", "http://host/?a=b",
        "http://host/#a", "http://host/a/../b", "http://host/a b", "//host/v1",
    ],
)  # fmt: skip
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as refused:
        HttpClient(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["Host", "Content-Length", "transfer-encoding", "Connection", "Accept-Encoding"])
async def test_a_header_that_decides_about_framing_or_routing_is_not_for_the_caller(name: str) -> None:
    async with peer() as server, client(server.url) as http:
        with pytest.raises(ValueError, match=name.lower()):
            await http.send("GET", "/x", headers={name: "1"})
    assert server.connections == 0


async def test_a_header_cannot_smuggle_another() -> None:
    async with peer() as server, client(server.url) as http:
        with pytest.raises(ValueError, match="HTTP"):
            await http.send("GET", "/x", headers={"x-name": "a\r\nx-admin: 1"})
    assert server.requests == []


# --- a hostile answer ---------------------------------------------------------------------------------------------


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON + b"connection: close\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON)
    while True:
        writer.write(b"x-more: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def endless_chunk_extension(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON + b"transfer-encoding: chunked\r\n\r\n1;")
    while True:
        writer.write(b"x" * 1000)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON + b"content-length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_of_interim_answers(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def silent_after_the_head(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON + b"content-length: 5\r\n\r\n")
    await asyncio.sleep(30)


BOMB = gzip.compress(bytes(64 * 1024 * 1024), 9)
EMPTY = gzip.compress(b"", 9)[:10] + b"\x00\x00\x00\xff\xff" * 40_000
"""Compressed data that unpacks to nothing, and does not end."""
ZIPPED = b"content-encoding: gzip\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x00\xff\x13garbage", "protocol"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "protocol"),
        (b"", "protocol"),
        (JSON, "protocol"),
        (JSON + b"content-length: 100\r\n\r\n{", "protocol"),
        (JSON + b"transfer-encoding: chunked\r\n\r\n5\r\nab", "protocol"),
        (JSON + b"transfer-encoding: chunked\r\n\r\nzz\r\nab", "protocol"),
        (JSON + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", "protocol"),
        (JSON + b"content-length: -1\r\n\r\n", "protocol"),
        (endless_headers, "protocol"),
        (endless_chunk_extension, "protocol"),
        (JSON + b"x: " + b"x" * 8192 + b"\r\n\r\n", "headers_too_large"),
        (JSON + b"x: y\r\n" * 2000 + b"\r\n", "headers_too_large"),
        (endless, "too_large"),
        (JSON + b"content-length: 10737418240\r\n\r\n" + b"x" * 200_000, "too_large"),
        (JSON + ZIPPED + BOMB, "too_large"),
        (JSON + ZIPPED + EMPTY, "too_large"),
        (JSON + ZIPPED + gzip.compress(b"{}")[:-4], "content_encoding"),
        (JSON + ZIPPED + gzip.compress(b"{}") + b"x" * 100, "content_encoding"),
        (JSON + ZIPPED + b"not gzip at all", "content_encoding"),
        (JSON + b"content-encoding: gzip, gzip\r\n\r\n" + gzip.compress(BOMB), "content_encoding"),
        (JSON + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}", "content_encoding"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", "redirect"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "redirect"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "protocol"),
        (b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>", "content_type"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "content_type"),
        (JSON + b"content-length: 6\r\n\r\n<html>", "json"),
        (JSON + b"content-length: 0\r\n\r\n", "json"),
        (JSON + b"content-length: 3\r\n\r\nNaN", "json"),
        (JSON + b"content-length: 20000\r\n\r\n" + b"[" * 20000, "json"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_bad_answer(answer: Any, reason: str) -> None:
    error = await failure(answer)
    assert type(error) is UpstreamBadAnswer
    assert (error.reason, error.sent) == (reason, True)


@pytest.mark.parametrize("answer", [drip, drip_of_interim_answers, silent, silent_after_the_head])
async def test_an_answer_that_does_not_end_in_time_is_given_up(answer: Any) -> None:
    before = asyncio.get_running_loop().time()
    error = await failure(answer, SHORT)
    assert type(error) is UpstreamTimeout
    assert asyncio.get_running_loop().time() - before < 3.0


async def test_a_reset_in_the_middle_is_a_bad_answer() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(JSON + b"content-length: 100\r\n\r\n")
        await writer.drain()
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()

    error = await failure(reset)
    assert type(error) is UpstreamBadAnswer
    assert error.reason in {"connection_lost", "protocol"}


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(*, packed: bool) -> None:
    async def size(count: int) -> int:
        body = gzip.compress(b"x" * count) if packed else b"x" * count
        head = JSON + (b"content-encoding: gzip\r\n" if packed else b"") + b"content-length: %d\r\n\r\n" % len(body)
        async with peer(head + body) as server, client(server.url) as http:
            return len((await http.send("GET", "/x")).body)

    assert await size(LIMIT) == LIMIT
    with pytest.raises(UpstreamBadAnswer, match="too_large"):
        await size(LIMIT + 1)


async def test_a_bomb_is_not_kept_in_memory() -> None:
    async with peer(JSON + ZIPPED + BOMB) as server, client(server.url) as http:
        tracemalloc.start()
        try:
            with pytest.raises(UpstreamBadAnswer, match="too_large"):
                await http.send("GET", "/x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2 * 1024 * 1024  # of 64 MiB


async def test_a_redirect_is_not_followed() -> None:
    async with peer() as metadata:
        location = f"HTTP/1.1 307 Go\r\nlocation: {metadata.url}/\r\ncontent-length: 0\r\n\r\n".encode()
        assert (await failure(location)).reason == "redirect"
        assert metadata.connections == 0


# --- refusals and their Retry-After -------------------------------------------------------------------------------


def refusal(status: int, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status} No\r\n{lines}content-length: 6\r\n\r\nsecret".encode()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 599])
async def test_a_status_of_400_and_more_is_a_refusal_without_its_text(status: int) -> None:
    error = await failure(refusal(status))
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.reason, error.retry_after) == (status, f"status_{status}", None)
    assert "secret" not in repr(error)


async def test_a_status_that_the_call_accepts_is_an_answer() -> None:
    async with peer(refusal(402)) as server, client(server.url) as http:
        answer = await http.send("POST", "/x", accept={402})
    assert (answer.status, answer.body) == (402, b"secret")


async def test_a_refusal_leaves_its_connection_usable() -> None:
    async with peer(refusal(503), close=False) as server, client(server.url) as http:
        for _ in range(3):
            with pytest.raises(UpstreamRefused):
                await http.send("GET", "/x")
        assert server.connections == 1


NOW = 1_790_000_000.0
"""2026-09-21 14:13:20 GMT"""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        ("3600", MAX_RETRY_AFTER),
        ("3601", MAX_RETRY_AFTER),
        ("9999999", MAX_RETRY_AFTER),
        ("9" * 11, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0667", None),
        ("Mon, 21 Sep 2026 14:13:50 GMT", 30.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Mon, 99 Sep 2026 14:13:50 GMT", None),
        ("x" * 10_000, None),
    ],
)
def test_retry_after_is_read_strictly_and_bounded(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=50))
def test_no_retry_after_breaks_its_reader(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@pytest.mark.parametrize(("value", "seconds"), [("9999999", MAX_RETRY_AFTER), ("-1", None), ("30", 30.0)])
async def test_a_refusals_retry_after_comes_along(value: str, seconds: float | None) -> None:
    assert (await failure(refusal(429, f"Retry-After: {value}"))).retry_after == seconds


# --- connecting ---------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with client(f"http://127.0.0.1:{closed_port()}") as http:
        with pytest.raises(UpstreamUnavailable) as caught:
            await http.send("POST", "/x", json={})
    assert (caught.value.reason, caught.value.sent) == ("connect", False)


async def test_a_connection_that_is_not_accepted_is_given_up() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # past the backlog the kernel answers nobody
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        config = HttpClientConfig(timeout=20.0, connect_timeout=0.2)
        async with client(f"http://127.0.0.1:{listener.getsockname()[1]}", config) as http:
            with pytest.raises(UpstreamUnavailable) as caught:
                await http.send("GET", "/x")
    assert (caught.value.reason, caught.value.sent) == ("connect_timeout", False)


async def test_who_finds_no_connection_free_is_told_so() -> None:
    config = HttpClientConfig(timeout=5.0, connect_timeout=0.1, max_connections=1)
    async with peer(silent) as server, client(server.url, config) as http:
        first = asyncio.create_task(http.send("GET", "/x"))
        await server.arrived.wait()
        with pytest.raises(UpstreamUnavailable) as caught:
            await http.send("GET", "/x")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert (caught.value.reason, caught.value.sent) == ("no_connection_free", False)


async def test_a_cancelled_call_gives_its_connection_up() -> None:
    async def wait(writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    config = HttpClientConfig(max_connections=1, connect_timeout=1.0)
    async with peer(wait) as server, client(server.url, config) as http:
        call = asyncio.create_task(http.send("GET", "/x"))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert http._transport._pool.connections == []


# --- URLs from outside --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """What a guard has found."""

    port: int
    addresses: tuple[str, ...] = ("127.0.0.1",)
    scheme: str = "http"
    host: str = "pictures.example"
    path: str = "/cat.jpg?size=2"

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}"


async def test_a_fetch_goes_to_the_address_and_asks_for_the_name() -> None:
    async with peer(close=False) as server:
        fetcher = UrlFetcher(BOUNDS)
        for _ in range(2):
            assert (await fetcher.fetch(Checked(server.port))).status == 200
        await fetcher.aclose()
    assert server.line == "GET /cat.jpg?size=2 HTTP/1.1"
    assert server.headers["host"] == f"pictures.example:{server.port}"
    assert server.connections == 2  # nothing is used again


async def test_a_fetch_tries_the_next_address_if_one_cannot_be_reached() -> None:
    async with peer() as server:
        fetcher = UrlFetcher(BOUNDS)
        answer = await fetcher.fetch(Checked(server.port, addresses=("127.9.9.9", "127.0.0.1")))
        with pytest.raises(UpstreamUnavailable):
            await fetcher.fetch(Checked(server.port, addresses=("127.9.9.9", "127.9.9.8", "127.9.9.7", "127.0.0.1")))
        await fetcher.aclose()
    assert answer.status == 200


async def test_a_fetch_is_bounded_in_time_and_size() -> None:
    async with peer(drip) as slow, peer(endless) as large:
        fetcher = UrlFetcher(HttpClientConfig(timeout=0.3, max_response=LIMIT))
        with pytest.raises(UpstreamTimeout):
            await fetcher.fetch(Checked(slow.port))
        with pytest.raises(UpstreamBadAnswer, match="too_large"):
            await fetcher.fetch(Checked(large.port))
        await fetcher.aclose()


def test_a_fetch_through_a_proxy_is_refused_because_a_proxy_looks_names_up_again() -> None:
    with pytest.raises(ValueError, match="proxy"):
        UrlFetcher(HttpClientConfig(proxy="http://127.0.0.1:3128"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for pictures.example, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pictures.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pictures.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


async def test_tls_is_verified_for_the_name_although_the_connection_goes_to_an_address(certificate: Path) -> None:
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    async with peer(tls=server_side) as server:
        fetcher = UrlFetcher(BOUNDS, tls=ssl.create_default_context(cafile=str(certificate)))
        assert (await fetcher.fetch(Checked(server.port, scheme="https"))).status == 200
        with pytest.raises(UpstreamUnavailable):
            await fetcher.fetch(Checked(server.port, scheme="https", host="other.example"))
        await fetcher.aclose()
        stranger = UrlFetcher(BOUNDS)
        with pytest.raises(UpstreamUnavailable):
            await stranger.fetch(Checked(server.port, scheme="https"))
        await stranger.aclose()
    assert len(server.requests) == 1

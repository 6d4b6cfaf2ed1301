"""What a client may send is bounded in bytes, in time and in depth."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st

from app.patterns.body_limit import BodyLimit, json_depth
from tests.support.live import serve

LIMIT = 100


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/json")
    async def takes_json(body: dict[str, Any] | list[Any]) -> dict[str, int]:
        return {"members": len(body)}

    @app.post("/raw")
    async def takes_bytes(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/swallows")
    async def swallows(request: Request) -> dict[str, int]:
        received = 0
        for _ in range(50):
            try:
                received += len(await request.body())
            except Exception:  # noqa: BLE001 - the handler that this guard must survive
                continue
        return {"bytes": received}

    @app.post("/ignores")
    async def ignores() -> dict[str, str]:
        return {"body": "unread"}

    return app


def guarded(**options: Any) -> BodyLimit:
    return BodyLimit(application(), **({"max_bytes": LIMIT} | options))


def chunks(size: int) -> Any:
    """Send without Content-Length: httpx2 uses chunked transfer for an iterator."""
    yield b"x" * (size // 2)
    yield b"x" * (size - size // 2)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_up_to_the_bound_passes(size: int) -> None:
    with serve(guarded()) as url:
        assert httpx2.post(f"{url}/raw", content=b"x" * size).json() == {"bytes": size}
        assert httpx2.post(f"{url}/raw", content=chunks(size)).json() == {"bytes": size}


def test_a_declared_length_past_the_bound_is_refused() -> None:
    with serve(guarded()) as url:
        answer = httpx2.post(f"{url}/raw", content=b"x" * (LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


def test_an_undeclared_length_past_the_bound_is_refused() -> None:
    with serve(guarded()) as url:
        answer = httpx2.post(f"{url}/raw", content=chunks(LIMIT + 1))
    assert answer.status_code == 413


def test_a_handler_that_swallows_the_refusal_gets_no_more_of_the_body() -> None:
    with serve(guarded()) as url:
        answer = httpx2.post(f"{url}/swallows", content=chunks(LIMIT + 1))
    assert answer.json() == {"bytes": 0}


def test_a_handler_that_ignores_the_body_still_does_not_get_a_large_one() -> None:
    with serve(guarded()) as url:
        assert httpx2.post(f"{url}/ignores", content=b"x" * (LIMIT + 1)).status_code == 413


def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    with serve(guarded()) as url, socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 5) as peer:
        peer.sendall(b"POST /raw HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n")
        assert peer.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_arrive_in_time_is_refused() -> None:
    with (
        serve(guarded(timeout=0.1)) as url,
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 5) as peer,
    ):
        peer.sendall(b"POST /raw HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        answer = peer.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The body must arrive within 0.1 seconds" in answer


def test_a_handler_that_begins_to_wait_when_the_time_is_up_is_refused_too() -> None:
    app = FastAPI()

    @app.post("/late")
    async def late(request: Request) -> dict[str, int]:
        stream = request.stream()
        first = await anext(stream)
        await asyncio.sleep(0.2)  # a handler's own work between two reads; the body's time runs on
        return {"bytes": len(first) + sum([len(chunk) async for chunk in stream])}

    with (
        serve(BodyLimit(app, max_bytes=LIMIT, timeout=0.1)) as url,
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 5) as peer,
    ):
        peer.sendall(b"POST /late HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        assert peer.recv(4096).startswith(b"HTTP/1.1 408 ")


async def test_a_cancellation_from_elsewhere_is_passed_on() -> None:
    started = asyncio.Event()

    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    async def receive() -> Any:
        started.set()
        await asyncio.Event().wait()

    async def send(_message: Any) -> None:
        raise AssertionError("must not be answered")

    scope = {"type": "http", "headers": [(b"content-length", b"5")]}
    task = asyncio.create_task(BodyLimit(reads, max_bytes=LIMIT)(scope, receive, send))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_second_cancellation_beside_ours_is_passed_on() -> None:
    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    async def receive() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # as a shutdown would at this moment
            raise

    async def send(_message: Any) -> None:
        raise AssertionError("must not be answered")

    scope = {"type": "http", "headers": [(b"content-length", b"5")]}
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(BodyLimit(reads, max_bytes=LIMIT, timeout=0.01)(scope, receive, send))


async def test_a_body_that_is_there_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay, *_rest: armed.append(delay))

    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        assert await receive() == {"type": "http.request", "body": b"whole"}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"whole"}

    async def send(_message: Any) -> None:
        raise AssertionError("must not be answered")

    await BodyLimit(reads, max_bytes=LIMIT)({"type": "http", "headers": [(b"content-length", b"5")]}, receive, send)
    assert armed == []


async def test_a_body_that_is_waited_for_comes_whole() -> None:
    arrived = asyncio.Event()
    pieces = [b"be", b"tw", b"een"]

    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        assert body == b"between"

    async def receive() -> Any:
        for _ in range(3):  # more than one wait in one read
            await asyncio.sleep(0)
        await arrived.wait()
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(_message: Any) -> None:
        raise AssertionError("must not be answered")

    scope = {"type": "http", "headers": [(b"content-length", b"7")]}
    task = asyncio.create_task(BodyLimit(reads, max_bytes=LIMIT)(scope, receive, send))
    await asyncio.sleep(0)
    arrived.set()
    await task
    assert pieces == []


async def test_who_judges_the_time_of_a_request_is_told_how_long_its_body_was_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, real, skew = asyncio.get_running_loop(), asyncio.get_running_loop().time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real() + skew[0])

    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["more_body"]:
            skew[0] += 100.0  # its own time, between two reads

    async def receive() -> Any:
        await asyncio.sleep(0)
        skew[0] += 3.0
        return {"type": "http.request", "body": b"x", "more_body": skew[0] < 106}

    scope: dict[str, Any] = {"type": "http", "headers": [(b"content-length", b"2")]}
    await BodyLimit(reads, timeout=200.0)(scope, receive, reads)  # type: ignore[arg-type]  # nothing is sent
    assert scope["state"]["body_wait"] == pytest.approx(6.0, abs=2.0)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(("levels", "status"), [(8, 200), (9, 400)])
def test_json_is_bounded_in_depth(levels: int, status: int) -> None:
    with serve(guarded(max_depth=8)) as url:
        answer = httpx2.post(f"{url}/json", content=nested(levels), headers={"content-type": "application/json"})
    assert answer.status_code == status


def test_brackets_in_strings_are_not_depth() -> None:
    body = json.dumps({"text": '[[[[{{{{"[[[['}).encode()
    with serve(guarded(max_depth=2)) as url:
        answer = httpx2.post(f"{url}/json", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_depth_cannot_be_hidden_behind_a_second_content_type() -> None:
    with serve(guarded(max_depth=8)) as url:
        for types in (["application/json", "text/plain"], ["text/plain", "application/json"]):
            headers = [("content-type", value) for value in types]
            assert httpx2.post(f"{url}/json", content=b"[" * 9 + b"]" * 9, headers=headers).status_code == 400


async def test_a_body_that_http_2_need_not_declare_is_counted() -> None:
    """Without a length, and without a word about chunks: only HTTP/1.1 says that there is none then."""
    pending = [{"type": "http.request", "body": b"x" * LIMIT, "more_body": True}] * 2
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return pending.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "2", "method": "POST", "path": "/raw", "query_string": b"", "headers": []}
    await guarded()(scope, receive, send)
    assert sent[0]["status"] == 413


def test_depth_cannot_be_hidden_in_another_encoding() -> None:
    body = ('["\u2220",' + "[" * 15 + "]" * 15 + "]").encode("utf-16")
    with serve(guarded(max_depth=8)) as url:
        answer = httpx2.post(f"{url}/json", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "JSON may be nested at most 8 levels deep."}


def test_a_body_that_is_not_json_may_hold_brackets() -> None:
    with serve(guarded(max_depth=2)) as url:
        assert httpx2.post(f"{url}/raw", content=nested(9)).json() == {"bytes": 18}


async def test_a_length_that_is_not_a_number_is_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("must not be read")

    scope = {"type": "http", "headers": [(b"content-length", b"1e2")]}
    await guarded()(scope, receive, send)
    assert sent[0]["status"] == 400


@given(st.recursive(st.none() | st.text(), lambda children: st.lists(children) | st.dictionaries(st.text(), children)))
def test_the_depth_of_any_document_is_the_one_that_its_parser_sees(document: Any) -> None:
    def depth(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    assert depth(document) == json_depth(json.dumps(document).encode(), stop=1000)


def test_the_depth_of_a_hostile_document_is_found_in_linear_time() -> None:
    assert json_depth(b'"' + b"\\" * 1_000_001, stop=3) == 0
    assert json_depth(b'"[' * 500_000, stop=3) <= 4


@pytest.mark.parametrize("options", [{"max_bytes": -1}, {"timeout": 0}, {"max_depth": 0}])
def test_a_bound_that_bounds_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        guarded(**options)


FORM = b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--edge--\r\n'


@pytest.mark.parametrize(
    ("body", "status"),
    [(FORM, 200), (FORM + b"epilogue", 200), (FORM[:-4], 400), (FORM[:20], 400), (FORM.replace(b"edge", b"else"), 400)],
)
def test_a_form_in_parts_has_to_end_with_its_last_boundary(body: bytes, status: int) -> None:
    def in_pieces() -> Any:
        yield from (body[:-9], body[-9:-3], body[-3:])

    for kind in ("multipart/form-data; boundary=edge", 'Multipart/Form-Data; boundary="edge"; charset=utf-8'):
        with serve(guarded()) as url:
            for content in (body, in_pieces()):
                answer = httpx2.post(f"{url}/raw", content=content, headers={"content-type": kind})
                assert answer.status_code == status


@pytest.mark.parametrize("charset", ["punycode", "utf-7", "zlib", "no-such-charset"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=edge", "application/x-www-form-urlencoded"])
def test_a_form_in_an_encoding_of_its_own_is_refused(kind: str, charset: str) -> None:
    with serve(guarded()) as url:
        headers = {"content-type": f"{kind}; charset={charset}"}
        answer = httpx2.post(f"{url}/raw", content=FORM, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "body_charset")

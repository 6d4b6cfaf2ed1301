"""A request ends in time, whatever its handler waits for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import weakref
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from app.patterns.deadline import Deadline, DeadlineExceeded, StrayCancellation, remaining, requested_timeout
from tests.support.live import serve

FOREVER = 30.0


def application() -> FastAPI:  # noqa: C901 - one handler a way of being late
    app = FastAPI()
    app.state.cancelled = []

    @app.get("/fast")
    async def fast(request: Request) -> dict[str, Any]:
        return {"left": remaining(request.scope)}

    @app.get("/hangs")
    async def hangs() -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            app.state.cancelled.append("hangs")
            raise

    @app.get("/swallows")
    async def swallows() -> dict[str, str]:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            app.state.cancelled.append("swallows")
        return {"answer": "too late"}

    @app.get("/clings")
    async def clings() -> dict[str, str]:
        for _ in range(20):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return {"answer": "far too late"}

    @app.get("/breaks")
    async def breaks() -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            raise ValueError("cancellation became another error") from None

    @app.get("/thread")
    def thread() -> dict[str, str]:
        time.sleep(1.0)  # what a synchronous handler does; the guard cannot cancel it
        return {"answer": "too late"}

    @app.get("/streams")
    async def streams() -> StreamingResponse:
        async def parts() -> Any:
            yield b"first"
            await asyncio.sleep(FOREVER)

        return StreamingResponse(parts())

    return app


def guarded(timeout: float, **options: Any) -> Deadline:
    return Deadline(application(), timeout=timeout, **options)


def test_a_request_within_its_time_passes_and_knows_what_is_left() -> None:
    with serve(guarded(5.0)) as url:
        answer = httpx2.get(f"{url}/fast")
    assert answer.status_code == 200
    assert 0 < answer.json()["left"] <= 5.0


@pytest.mark.parametrize("path", ["/hangs", "/swallows", "/breaks", "/thread", "/clings"])
def test_a_handler_that_does_not_end_is_answered_with_504(path: str) -> None:
    with serve(guarded(0.05, grace=0.05)) as url:
        answer = httpx2.get(f"{url}{path}", timeout=0.9)
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "deadline_exceeded"


def test_the_handler_is_cancelled() -> None:
    app = application()
    with serve(Deadline(app, timeout=0.05)) as url:
        httpx2.get(f"{url}/hangs")
    assert app.state.cancelled == ["hangs"]


def test_a_late_handler_does_not_disturb_the_next_request_on_its_connection() -> None:
    with serve(guarded(0.05, grace=0.05)) as url, httpx2.Client() as client:
        answers = [client.get(f"{url}{path}").status_code for path in ("/clings", "/fast", "/swallows", "/fast")]
    assert answers == [504, 200, 504, 200]


def test_a_response_that_has_begun_is_cut() -> None:
    # Long enough to begin on a loaded machine: who has not begun is answered with 504.
    with serve(guarded(2.0)) as url, pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{url}/streams", timeout=60)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-request-timeout-ms": "50"},
        {"x-envoy-expected-rq-timeout-ms": "50"},
        {"grpc-timeout": "50m"},
        {"grpc-timeout": "50000u"},
    ],
)
def test_a_caller_may_shorten_the_deadline(headers: dict[str, str]) -> None:
    with serve(guarded(FOREVER)) as url:
        answer = httpx2.get(f"{url}/hangs", headers=headers, timeout=5)
    assert answer.status_code == 504


def test_a_caller_may_not_lengthen_the_deadline() -> None:
    with serve(guarded(0.05)) as url:
        answer = httpx2.get(f"{url}/hangs", headers={"x-request-timeout-ms": "60000"}, timeout=5)
    assert answer.status_code == 504


def test_a_caller_that_has_no_time_left_is_refused() -> None:
    with serve(guarded(5.0)) as url:
        answer = httpx2.get(f"{url}/hangs", headers={"x-request-timeout-ms": "0"}, timeout=4)
    assert answer.status_code == 504


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"x-request-timeout-ms", b"1500")], 1.5),
        ([(b"x-request-timeout-ms", b"99999999")], 99999.999),
        ([(b"x-request-timeout-ms", b"999999999")], None),
        ([(b"x-request-timeout-ms", b"-1")], None),
        ([(b"x-request-timeout-ms", b"1e3")], None),
        ([(b"x-request-timeout-ms", "\u0661".encode())], None),
        ([(b"grpc-timeout", b"2S")], 2.0),
        ([(b"grpc-timeout", b"1H")], 3600.0),
        ([(b"grpc-timeout", b"5n")], 5e-9),
        ([(b"grpc-timeout", b"123456789S")], None),
        ([(b"grpc-timeout", b"5 S")], None),
        ([(b"grpc-timeout", b"1S"), (b"x-request-timeout-ms", b"2000")], 2.0),
    ],
)
def test_the_callers_timeout_is_read_strictly(headers: list[tuple[bytes, bytes]], expected: float | None) -> None:
    assert expected == requested_timeout(headers)


@pytest.mark.parametrize("timeout", [0, -1.0, float("inf"), float("nan")])
def test_a_timeout_that_bounds_nothing_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Deadline(application(), timeout=timeout)


async def test_a_cancellation_from_elsewhere_is_passed_on() -> None:
    started = asyncio.Event()

    async def hangs(_scope: Any, _receive: Any, _send: Any) -> None:
        started.set()
        await asyncio.sleep(FOREVER)

    async def nothing(*_: Any) -> Any:
        return None

    scope = {"type": "http", "headers": [], "state": {}}
    task = asyncio.create_task(Deadline(hangs, timeout=FOREVER)(scope, nothing, nothing))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_refusal_is_the_callers_own_when_given() -> None:
    refused: list[DeadlineExceeded] = []

    async def hangs(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(FOREVER)

    async def refuse(_scope: Any, _receive: Any, _send: Any, error: DeadlineExceeded) -> None:
        refused.append(error)

    async def nothing(*_: Any) -> Any:
        return None

    await Deadline(hangs, timeout=0.01, refuse=refuse)({"type": "http", "headers": []}, nothing, nothing)
    assert [error.timeout for error in refused] == [0.01]


async def nothing(*_: Any) -> Any:
    return None


async def test_a_second_cancellation_beside_ours_is_passed_on() -> None:
    async def hangs(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # as a shutdown would at this moment
            raise

    guard = Deadline(hangs, timeout=0.01)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(guard({"type": "http", "headers": []}, nothing, nothing))


async def test_a_swallowed_cancellation_does_not_stay_with_the_task() -> None:
    async def swallows(_scope: Any, _receive: Any, _send: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(FOREVER)

    await Deadline(swallows, timeout=0.01)({"type": "http", "headers": []}, nothing, nothing)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_request_that_has_ended_is_not_held_until_its_deadline() -> None:
    guard = Deadline(nothing, timeout=FOREVER)
    await guard({"type": "http", "headers": []}, nothing, nothing)
    assert [slot for slot in guard._slots._slots.values() if slot] == []


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_of_the_application() -> None:
    async def strays(_scope: Any, _receive: Any, _send: Any) -> None:
        other = asyncio.create_task(asyncio.sleep(FOREVER))
        other.cancel()
        await other

    with pytest.raises(StrayCancellation) as caught:
        await Deadline(strays, timeout=FOREVER)({"type": "http", "headers": []}, nothing, nothing)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_a_loop_that_is_gone_takes_its_slots_along() -> None:
    guard = Deadline(nothing, timeout=0.01)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(guard({"type": "http", "headers": []}, nothing, nothing))
    loop.close()
    gone = weakref.ref(loop)
    del guard, loop
    gc.collect()
    assert gone() is None

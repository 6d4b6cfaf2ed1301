"""What holds the loop is named while it holds it, and what does not is left in peace."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx2

from app.patterns.loop_watchdog import (
    MAX_FRAMES,
    Block,
    LoopWatchdog,
    LoopWatchdogConfig,
    route_of,
    stack_of,
)
from tests.support.live import serve

if TYPE_CHECKING:
    import pytest
    from starlette.types import Receive, Scope, Send

QUICK = LoopWatchdogConfig(interval=0.005, threshold=0.03, bound=0.1)


class Route:
    path_format = "/orders/{order_id}"


class Watched:
    """An application that blocks its loop until it is told to go on."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.ends: list[tuple[float, str | None]] = []
        self.seen, self.over, self.go = threading.Event(), threading.Event(), threading.Event()
        self.watchdog = LoopWatchdog(QUICK, on_block=self._block, on_end=self._end)

    def _block(self, block: Block) -> None:
        self.blocks.append(block)
        self.seen.set()

    def _end(self, seconds: float, route: str | None) -> None:
        self.ends.append((seconds, route))
        self.over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        scope["route"] = Route()
        if scope["path"] == "/block":
            self._hold_the_loop()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _hold_the_loop(self) -> None:
        self.go.wait(20)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        watching = asyncio.create_task(self.watchdog.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        await send({"type": "lifespan.shutdown.complete"})


def test_a_block_is_told_with_its_stack_and_route_while_it_lasts() -> None:
    watched = Watched()
    with serve(watched, lifespan="on") as url:
        assert httpx2.get(url).status_code == 204
        blocking = threading.Thread(target=httpx2.get, args=(f"{url}/block",))
        blocking.start()
        assert watched.seen.wait(20)
        (block,) = watched.blocks
        assert block.route == "GET /orders/{order_id}"
        assert block.seconds >= QUICK.threshold
        assert any("tests/patterns/test_loop_watchdog.py" in line and "_hold_the_loop" in line for line in block.stack)
        assert watched.ends == []
        assert watched.watchdog.blocked() > 0
        watched.go.set()
        blocking.join()
        assert watched.over.wait(20)
        assert len(watched.blocks) == 1  # one block is told once
        assert watched.ends[0][1] == "GET /orders/{order_id}"
        assert watched.ends[0][0] >= block.seconds


def test_a_loop_that_turns_is_left_in_peace() -> None:
    watched = Watched()
    with serve(watched, lifespan="on") as url, httpx2.Client() as client:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            assert client.get(url).status_code == 204
    assert [block for block in watched.blocks if block.route] == []


def test_blocks_are_added_up_over_the_window() -> None:
    now = [100.0]
    watchdog = LoopWatchdog(LoopWatchdogConfig(window=30), clock=lambda: now[0])
    watchdog._since = 100.0
    now[0] = 103.0
    assert watchdog.blocked() == 3
    watchdog._end(104.0, None)
    assert watchdog.blocked() == 4
    now[0] = 133.9
    assert watchdog.blocked() == 4
    now[0] = 134.0
    assert watchdog.blocked() == 0


def test_a_process_that_was_stopped_blocked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock has moved, its processor's time has not."""
    now, cpu = [100.0], [1.0]
    blocks: list[Block] = []
    watchdog = LoopWatchdog(on_block=blocks.append, clock=lambda: now[0])
    monkeypatch.setattr("app.patterns.loop_watchdog.time.process_time", lambda: cpu[0])

    class Stop:
        """Looks three times: after an hour in which nothing ran, then as usual, then after a busy second."""

        looks = iter([(3600.0, 0.0), (0.05, 0.0), (1.0, 1.0)])

        def wait(self, _seconds: float) -> bool:
            step = next(self.looks, None)
            if step is None:
                return True
            now[0] += step[0]
            cpu[0] += step[1]
            if step[0] == 0.05:
                watchdog._note = now[0]
            return False

    watchdog._watch(Stop(), threading.get_ident())  # type: ignore[arg-type]
    assert [round(block.seconds, 2) for block in blocks] == [1.0]


def test_a_stack_is_bounded_and_has_no_values() -> None:
    secret = "hunter2"  # noqa: F841 - a local variable of the frames below

    def deep(depth: int) -> tuple[str, ...]:
        import sys

        return deep(depth - 1) if depth else stack_of(sys._getframe())

    stack = deep(100)
    assert len(stack) == MAX_FRAMES
    assert stack[-1].endswith(" deep")
    assert "hunter2" not in str(stack)
    assert not any(line.startswith("/") for line in stack)


def test_outside_of_a_request_there_is_no_route() -> None:
    import sys

    assert route_of(sys._getframe()) is None
    assert route_of(None) is None
    assert stack_of(None) == ()


def test_a_request_that_no_route_took_has_none_either() -> None:
    def app(scope: Any) -> str | None:
        import sys

        assert scope
        return route_of(sys._getframe())

    assert app({"type": "http", "method": "GET"}) is None
    assert app({"type": "http", "method": "GET", "route": Route()}) == "GET /orders/{order_id}"

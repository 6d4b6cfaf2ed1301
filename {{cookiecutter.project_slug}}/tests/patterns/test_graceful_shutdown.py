"""The phases of a server's life, on a real socket in this loop; what ends a process is tested in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from app.patterns.graceful_shutdown import RETIRED, GracefulServer, Lifecycle, ShutdownConfig, StartupFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never the time that something takes."""


@dataclass
class Application:
    """Notes what happens to it, and lets the test say when its steps end."""

    happened: list[str] = field(default_factory=list)
    starts: Callable[[], Awaitable[None]] | None = None
    stops: Callable[[], Awaitable[None]] | None = None
    in_flight: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["from"] = "lifespan"
            await receive()
            if self.starts is not None:
                await self.starts()
            await send({"type": "lifespan.startup.complete"})
            self.happened.append("started")
            await receive()
            if self.stops is not None:
                await self.stops()
            self.happened.append("stopped")
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            if scope["path"] == "/hold":
                self.in_flight.set()
                await self.release.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # cleaning up takes a turn of the loop
            self.happened.append("cancelled")
            raise
        body = str(scope["state"]["from"]).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.happened.append("answered")


@dataclass
class Serving:
    """A server that runs in this loop."""

    server: GracefulServer
    lifecycle: Lifecycle
    app: Application
    task: asyncio.Task[None]
    port: int
    happened: list[str]

    async def ask(self, path: str = "/") -> bytes:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            await self.task
        return self.server.exit_code


@contextlib.asynccontextmanager
async def serving(
    app: Application, *, supervised: bool = False, wait: bool = True, **bounds: float
) -> AsyncIterator[Serving]:
    ready = asyncio.Event()
    lifecycle = Lifecycle()
    happened = app.happened
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def on_ready() -> None:
            happened.append("ready")
            ready.set()

        server = GracefulServer(
            uvicorn.Config(app, log_config=None, access_log=False),
            lifecycle=lifecycle,
            shutdown=ShutdownConfig(**{"drain_delay": 0.0} | bounds),
            on_ready=on_ready,
            on_drain=lambda: happened.append("draining"),
            supervised=supervised,
        )
        task = asyncio.create_task(server.serve([listener]))
        if wait:
            async with asyncio.timeout(PATIENCE):
                await ready.wait()
        try:
            yield Serving(server, lifecycle, app, task, listener.getsockname()[1], happened)
        finally:
            app.release.set()
            server.should_exit = True
            with contextlib.suppress(BaseException):
                await asyncio.wait_for(task, PATIENCE)


async def test_it_is_ready_once_the_application_has_started_and_it_listens() -> None:
    going = asyncio.Event()
    app = Application(starts=lambda: _wait(going))
    async with serving(app, wait=False) as service:
        assert service.lifecycle.phase == "starting"
        going.set()
        assert b"lifespan" in await service.ask()

        assert (service.lifecycle.phase, service.lifecycle.ready) == ("ready", True)
        assert app.happened == ["started", "ready", "answered"]


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_request_in_flight_finish_and_exits_0(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    async with serving(Application()) as service:
        answer = asyncio.create_task(service.ask("/hold"))
        await service.app.in_flight.wait()

        os.kill(os.getpid(), number)
        await until(lambda: service.lifecycle.phase == "draining")
        assert not service.lifecycle.ready
        await until_refused(service.port)
        service.app.release.set()

        assert (await answer).endswith(b"lifespan")
        assert await service.ended() == 0
        assert service.happened[-3:] == ["draining", "answered", "stopped"]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


async def test_it_accepts_until_the_drain_delay_is_over() -> None:
    async with serving(Application(), drain_delay=PATIENCE * 2) as service:
        service.server.begin_drain()

        assert service.lifecycle.phase == "draining"
        assert (await service.ask()).startswith(b"HTTP/1.1 200 ")
        assert not service.server.should_exit

        service.server.begin_drain(0.0)
        assert await service.ended() == 0
        assert service.happened.count("draining") == 1


async def test_a_process_that_asks_to_be_replaced_drains_and_says_so_by_its_exit_status() -> None:
    async with serving(Application()) as service:
        answer = asyncio.create_task(service.ask("/hold"))
        await service.app.in_flight.wait()

        service.lifecycle.retire()
        service.lifecycle.retire()
        assert service.lifecycle.phase == "draining"
        service.app.release.set()

        assert (await answer).endswith(b"lifespan")
        assert await service.ended() == RETIRED
        assert service.happened.count("draining") == 1


async def test_a_process_that_asked_to_be_replaced_and_fails_to_stop_is_an_error() -> None:
    never = asyncio.Event()
    async with serving(Application(stops=lambda: _wait(never)), shutdown_timeout=0.05) as service:
        service.lifecycle.retire()

        assert await service.ended() == 1


async def test_a_supervised_process_that_asks_to_be_replaced_does_not_wait_for_balancers() -> None:
    async with serving(Application(), supervised=True, drain_delay=PATIENCE * 2) as service:
        service.lifecycle.retire()

        assert await service.ended() == RETIRED


async def test_another_thread_may_begin_the_drain() -> None:
    async with serving(Application(), drain_delay=PATIENCE * 2) as service:
        await asyncio.to_thread(service.server.drain_soon, 0.0)

        assert await service.ended() == 0


async def test_a_request_past_its_time_is_cancelled_and_awaited_before_the_application_stops() -> None:
    async with serving(Application(), drain_timeout=0.05) as service:
        answer = asyncio.create_task(service.ask("/hold"))
        await service.app.in_flight.wait()

        service.server.begin_drain()

        assert await service.ended() == 0
        assert service.happened[-3:] == ["draining", "cancelled", "stopped"]
        await answer


async def test_an_application_that_does_not_stop_in_time_is_left() -> None:
    never = asyncio.Event()
    async with serving(Application(stops=lambda: _wait(never)), shutdown_timeout=0.05) as service:
        service.server.begin_drain()

        assert await service.ended() == 1


async def test_an_application_that_fails_to_stop_is_an_error() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async with serving(Application(stops=fail)) as service:
        service.server.begin_drain()

        assert await service.ended() == 1


async def test_a_supervised_server_ignores_what_a_terminal_repeats() -> None:
    async with serving(Application(), supervised=True) as service:
        answer = asyncio.create_task(service.ask("/hold"))
        await service.app.in_flight.wait()

        os.kill(os.getpid(), signal.SIGINT)
        await turns()
        assert service.lifecycle.phase == "ready"

        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        await until_refused(service.port)
        service.app.release.set()

        assert (await answer).endswith(b"lifespan")
        assert await service.ended() == 0


# -- starts that fail ----------------------------------------------------------------------------------------


async def test_an_exception_of_the_application_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("why")

    async with serving(Application(starts=fail), wait=False) as service:
        with pytest.raises(ZeroDivisionError, match="why"):
            await service.ended()

        assert service.lifecycle.phase == "starting"


async def test_an_application_that_does_not_start_in_time_is_refused() -> None:
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            app.happened.append("cancelled")
            raise

    app = Application(starts=hang)
    async with serving(app, wait=False, startup_timeout=0.05) as service:
        with pytest.raises(StartupFailed, match=r"did not start within 0\.05 s"):
            await service.ended()
        await turns()

        assert app.happened == ["cancelled"]


async def test_a_signal_ends_a_start() -> None:
    app = Application(starts=lambda: _wait(asyncio.Event()))
    before = signal.getsignal(signal.SIGTERM)
    async with serving(app, wait=False) as service:
        await until(lambda: signal.getsignal(signal.SIGTERM) is not before)

        os.kill(os.getpid(), signal.SIGTERM)

        assert await service.ended() == 0
        assert service.happened == []


async def test_an_application_that_says_failed_is_refused_with_its_message() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupFailed, match="no database"):
        await serve_alone(app)


async def test_an_application_that_says_failed_and_raises_is_refused_with_what_it_raises() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "a traceback"})
        await turns()
        raise ZeroDivisionError("why")

    with pytest.raises(ZeroDivisionError, match="why"):
        await serve_alone(app)


async def test_an_application_without_a_lifespan_is_refused() -> None:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        assert scope["type"] == "http"

    with pytest.raises(AssertionError):
        await serve_alone(app)


async def test_an_address_that_cannot_be_listened_on_stops_the_application_again() -> None:
    app = Application()
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        with socket.create_server(bound.getsockname()), pytest.raises(StartupFailed, match="cannot listen: "):
            await serve_alone(app, bound)

    assert app.happened == ["started", "stopped"]


# -- a process of its own ------------------------------------------------------------------------------------

SCRIPT = """
import sys, uvicorn
from app.patterns.graceful_shutdown import GracefulServer, Lifecycle, ShutdownConfig

async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("stopping", flush=True)
    await receive()

config = uvicorn.Config(app, port=0, log_config=None)
server = GracefulServer(
    config, lifecycle=Lifecycle(), shutdown=ShutdownConfig(drain_delay=0.0, shutdown_timeout=60.0),
    on_ready=lambda: print("ready", flush=True),
)
server.run()
sys.exit(server.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"

        process.send_signal(number)

        assert process.wait(PATIENCE) == 128 + number


# -- helpers -------------------------------------------------------------------------------------------------


async def serve_alone(app: Any, listener: socket.socket | None = None) -> None:
    server = GracefulServer(uvicorn.Config(app, log_config=None, port=0), lifecycle=Lifecycle())
    async with asyncio.timeout(PATIENCE):
        await server.serve([listener] if listener else None)


async def turns() -> None:
    """Let everything in this loop that waits for nothing happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - signals and phases come without an event to wait for
            await asyncio.sleep(0)


async def until_refused(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):  # refused, or reset in the listener's queue
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()

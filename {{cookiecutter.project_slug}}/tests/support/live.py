"""Real uvicorn on a loopback port, in a thread of its own, for tests that need a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """Tells the starting thread when it listens, so that no test polls or sleeps."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self.failure: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets=sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait to be stopped, instead of looking ten times a second: a suite starts hundreds of these."""
        await self.on_tick(0)
        if self._stop is not None:
            await self._stop.wait()

    def stop(self) -> None:
        """Ask the serving thread to shut down."""
        self.should_exit = True
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def serve(app: ASGIApp, **options: Any) -> Iterator[str]:
    """Serve ``app`` on a free loopback port and yield its base URL.

    Args:
        app: any ASGI application; its lifespan runs.
        options: passed on to ``uvicorn.Config``.

    Raises:
        RuntimeError: the server did not start.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings: dict[str, Any] = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": 1}
    server = _Server(uvicorn.Config(app, **(settings | options)))

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            server.failure = error
        finally:
            server.listening.set()

    thread = threading.Thread(target=run, name=f"uvicorn-{port}", daemon=True)
    thread.start()
    server.listening.wait(timeout=20)
    if not server.started:
        raise RuntimeError(f"uvicorn did not start: {server.failure!r}") from server.failure
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        thread.join(timeout=20)
        listener.close()

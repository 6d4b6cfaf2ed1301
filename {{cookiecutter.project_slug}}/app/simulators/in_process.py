"""A simulator inside of the service, for development: `make run` works, and nothing else has to be started."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class InProcessSimulator:
    """The payments simulator on a port of its own, from when somebody asks for its URL.

    Args:
        announce: called when it is first asked for: that payments are not real is said in the log.
    """

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce = announce
        self._listener: socket.socket | None = None
        self._bound = asyncio.Event()

    def url(self) -> str:
        """Return its base URL; connections are kept until :meth:`serve` runs."""
        if self._listener is None:
            # In production nobody asks, so nobody there imports it.
            from app.simulators.payments import HOST  # noqa: PLC0415

            self._listener = socket.create_server((HOST, 0))
            self._bound.set()
            self._announce()
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    async def serve(self) -> None:
        """Serve once it was asked for, until cancelled."""
        await self._bound.wait()
        from app.simulators.payments import MAX_HEAD, PaymentsSimulator  # noqa: PLC0415 - as above

        listener, tasks = self._listener, set[asyncio.Task[Any]]()
        simulator = PaymentsSimulator()

        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await simulator.connection(reader, writer)

        server = await asyncio.start_server(connection, sock=listener, limit=MAX_HEAD)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()

    def __del__(self) -> None:
        if self._listener is not None:
            self._listener.close()

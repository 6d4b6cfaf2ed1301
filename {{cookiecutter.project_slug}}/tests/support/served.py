"""Small ASGI applications behind ``app.server.serve``, and a command that serves them, for tests of processes.

``python -c 'from tests.support.served import main; main()' '{"workers": 2, "arguments": {"boot": "raises"}}'``
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.patterns.graceful_shutdown import ShutdownConfig
from app.patterns.guarded_http import HttpLimits
from app.server import ServerConfig, serve

if TYPE_CHECKING:
    from app.patterns.graceful_shutdown import Lifecycle

NAME = "tests.support.served:create"


class Refused(Exception):
    """What a service raises when it refuses to boot."""


class Service:
    """Says which process answers, and in which phase."""

    def __init__(self, lifecycle: Lifecycle, boot: str, stop: str) -> None:
        self._lifecycle = lifecycle
        self._boot = boot
        self._stop = stop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body, more = b"", scope["path"] == "/body"  # a request that is in flight until its client ends it
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = {
            "pid": os.getpid(),
            "phase": self._lifecycle.phase,
            "body": body.decode(),
            "collector": [gc.get_threshold()[0], gc.get_freeze_count() > 0],
        }
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        logging.getLogger("served").info("booting")
        match self._boot:
            case "lifespan refuses":
                raise ExceptionGroup("a task group", [Refused("the lifespan refuses")])
            case "lifespan raises":
                raise ZeroDivisionError("in the lifespan")
            case "lifespan fails":
                await send({"type": "lifespan.startup.failed", "message": "the lifespan failed"})
                return
            case "lifespan hangs":
                await asyncio.Event().wait()
            case "lifespan ends":
                return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        match self._stop:
            case "hangs":
                await asyncio.Event().wait()
            case "raises":
                raise ZeroDivisionError("at the end")
        logging.getLogger("served").info("stopped in order")
        await send({"type": "lifespan.shutdown.complete"})


def create(
    *,
    lifecycle: Lifecycle,
    http_guard: object,
    locks: object,
    boot: str = "",
    stop: str = "",
    refuse_if: str | None = None,
) -> Service:
    """Build the application; ``refuse_if`` names a file that keeps it from booting while it exists."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if boot == "raises":
        raise ZeroDivisionError("in the factory")
    if boot == "refuses" or (refuse_if is not None and Path(refuse_if).exists()):
        raise Refused("first reason\nsecond reason")
    return Service(lifecycle, boot, stop)


def main() -> int:
    """Serve as the JSON in the first argument says."""
    options = json.loads(sys.argv[1])
    config = ServerConfig(
        http=HttpLimits(**options.pop("http", {})),
        shutdown=ShutdownConfig(**{"drain_delay": 0.0} | options.pop("shutdown", {})),
        restart_delay=0.05,
    )
    return serve(options.pop("app", NAME), config=config, refusals=(Refused,), **{"port": 0} | options)

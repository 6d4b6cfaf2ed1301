"""Development's reload: a changed handler or policy is served at once; one that does not load changes nothing.

The routes of a service are one object that the edge calls through :class:`Switch`. When a file changes, the handlers
are imported and composed anew beside the running ones, and only a composition that came out whole takes their place.
A change outside the handlers and the policy needs a restart, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import Change, PythonFilter, awatch

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SETTLE = 100
"""Milliseconds that changes are collected: an editor writes a file in several steps."""

Watch = Callable[[], AsyncIterator[set[tuple[Change, str]]]]
Report = Callable[[str, list[str]], None]
"""Told of each outcome: ``reloaded`` or ``kept``, with what changed or what is wrong."""


class Switch:
    """An ASGI application that can be exchanged between two requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application that serves at this moment."""
        await self.app(scope, receive, send)


class _Sources(PythonFilter):
    """Python files and the policy; not what editors and Python leave beside them."""

    def __call__(self, change: Change, path: str) -> bool:
        return super().__call__(change, path) or path.endswith(".toml")


def watch_files(paths: Iterable[Path], stop: asyncio.Event) -> Watch:
    """Return a watcher of files and folders that ends when ``stop`` is set."""
    return lambda: awatch(*paths, watch_filter=_Sources(), step=50, debounce=SETTLE, stop_event=stop)


async def reload_on_change(
    watch: Watch, rebuild: Callable[[], Awaitable[ASGIApp]], switch: Switch, report: Report
) -> None:
    """Rebuild at each change and exchange the application if that succeeded; runs until the watch ends.

    Args:
        watch: yields sets of changes.
        rebuild: composes the application anew; whatever it raises leaves the one before it in place.
        switch: what requests go through.
        report: told of each outcome.
    """
    async for changes in watch():
        names = sorted({Path(path).name for _, path in changes})
        try:
            app = await rebuild()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, even SystemExit, at import
            report("kept", getattr(error, "problems", None) or [f"{type(error).__name__}: {error}"])
        else:
            switch.app = app
            report("reloaded", names)

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

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request to the application that serves at this moment."""
        return self.app(scope, receive, send)


class _Sources(PythonFilter):
    """Python files and the policy; not what editors and Python leave beside them."""

    def __call__(self, change: Change, path: str) -> bool:
        return super().__call__(change, path) or path.endswith(".toml")


def watch_files(folders: Iterable[Path], file: Path) -> Watch:
    """Return a watcher of folders with all that is in them, and of one file, which may be replaced.

    For the file its folder is watched and nothing below it: a project's root holds environments with thousands of
    folders, and to look at them all holds the event loop for a quarter of a second.
    """

    async def watch() -> AsyncIterator[set[tuple[Change, str]]]:
        found: asyncio.Queue[set[tuple[Change, str]] | Exception] = asyncio.Queue()

        async def follow(*paths: Path, recursive: bool) -> None:
            try:
                async for changes in awatch(
                    *paths, watch_filter=_Sources(), step=50, debounce=SETTLE, recursive=recursive
                ):
                    found.put_nowait(changes)
            except Exception as error:  # noqa: BLE001 - it belongs to who iterates
                found.put_nowait(error)

        following = [
            asyncio.create_task(follow(*folders, recursive=True)),
            asyncio.create_task(follow(file.parent, recursive=False)),
        ]
        try:
            while True:
                changes = await found.get()
                if isinstance(changes, Exception):
                    raise changes
                yield changes
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    return watch


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

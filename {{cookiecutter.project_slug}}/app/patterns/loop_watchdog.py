"""Loop watchdog: what holds the event loop is named, with its stack, while it does.

Threat: one handler computes, sleeps or waits in a blocking call, and every other request of the process stands still.
Afterwards the logs show slow requests everywhere and nothing about who it was.

What it does: the loop notes the time every ``interval``; a thread looks at the note. Where it is older than
``threshold`` the thread takes the stack of the loop's thread as it is at that moment, and ``on_block`` gets it;
``on_end`` gets how long it took in all. The request is found in the stack: its ``scope`` is a local variable of the
ASGI applications that it is inside of. :meth:`LoopWatchdog.blocked` adds up what was blocked lately; past ``bound`` a
readiness check should fail.

Defaults: 200 ms, at twenty looks a second: a person begins to notice, and it is many times what such a service takes;
a bound of 5 s in 30 s: a sixth of the time.

What it does not do: stop anything; see what holds the global lock without letting go of it (a regular expression that
backtracks, say), before that is over: then the stack shows the line after it. A process that was stopped (SIGSTOP, a
suspended machine) blocked nothing: where the processor's time has not moved with the clock, nothing is reported.

To lift it: needs nothing. ``watchdog = LoopWatchdog(on_block=log_it)``, and ``asyncio.create_task(watchdog.run())``.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MAX_FRAMES: Final = 30
"""Innermost frames of a stack that are kept: the middleware of any service fits outside of them."""

MAX_REMEMBERED: Final = 1000
"""Blocks that are added up; at 200 ms each that is more than any window holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopWatchdogConfig:
    """What counts as a block.

    Attributes:
        interval: seconds between two notes, and between two looks.
        threshold: seconds without a note that are a block.
        window: seconds over which blocks are added up.
        bound: seconds of blocks in a window that are too many.
    """

    interval: float = 0.05
    threshold: float = 0.2
    window: float = 30.0
    bound: float = 5.0


@dataclass(frozen=True, slots=True)
class Block:
    """The loop stands still.

    Attributes:
        seconds: for how long so far.
        stack: ``file:line function``, outermost first.
        route: of the request that runs, or None outside of one.
    """

    seconds: float
    stack: tuple[str, ...]
    route: str | None


class LoopWatchdog:
    """Watches one event loop.

    Args:
        config: what counts as a block.
        on_block: gets a block when it is seen, in the watching thread.
        on_end: gets the seconds and the route of a block that is over, in the watching thread.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        config: LoopWatchdogConfig | None = None,
        *,
        on_block: Callable[[Block], None] = lambda _block: None,
        on_end: Callable[[float, str | None], None] = lambda _seconds, _route: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config or LoopWatchdogConfig()
        self._on_block, self._on_end, self._clock = on_block, on_end, clock
        self._note = clock()
        self._lock = threading.Lock()
        self._blocks: deque[tuple[float, float]] = deque(maxlen=MAX_REMEMBERED)
        self._since: float | None = None

    async def run(self) -> None:
        """Watch the running loop until cancelled."""
        stop = threading.Event()
        watching = threading.Thread(
            target=self._watch, args=(stop, threading.get_ident()), name="loop-watchdog", daemon=True
        )
        self._note = self._clock()
        watching.start()
        try:
            while True:
                await asyncio.sleep(self.config.interval)
                self._note = self._clock()
        finally:
            stop.set()

    def blocked(self) -> float:
        """Return the seconds that the loop was blocked during the last window, up to now."""
        now = self._clock()
        with self._lock:
            total = sum(seconds for ended, seconds in self._blocks if now - ended < self.config.window)
            return total + (now - self._since if self._since is not None else 0.0)

    def _watch(self, stop: threading.Event, loop_thread: int) -> None:
        looked, spent = self._clock(), time.process_time()
        route: str | None = None
        while not stop.wait(self.config.interval):
            now, cpu = self._clock(), time.process_time()
            stopped = now - looked > self.config.threshold and cpu - spent < (now - looked) / 2
            looked, spent = now, cpu
            note = self._note
            if self._since is not None and note > self._since:
                self._end(note, route)
            if self._since is None and now - note > self.config.threshold and not stopped:
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 - documented: a stack of another thread
                if self._note != note:
                    continue  # it went on in the meantime: the stack is somebody else's
                with self._lock:
                    self._since = note
                route = route_of(frame)
                self._on_block(Block(now - note, stack_of(frame), route))
        if self._since is not None:
            self._end(self._note, route)

    def _end(self, note: float, route: str | None) -> None:
        with self._lock:
            seconds = note - (self._since or note)
            self._blocks.append((note, seconds))
            self._since = None
        self._on_end(seconds, route)


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """Return the innermost frames as text, without any value."""
    if frame is None:
        return ()
    summary = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=MAX_FRAMES, lookup_lines=False)
    return tuple(f"{_short(line.filename)}:{line.lineno} {line.name}" for line in reversed(summary))


def _short(filename: str) -> str:
    """Return a path from its package on: where it is installed is nobody's business."""
    parts = filename.replace("\\", "/").split("/")
    return "/".join(parts[-3:])


def route_of(frame: FrameType | None) -> str | None:
    """Return method and path template of the request whose ASGI application is in the stack, or None."""
    while frame is not None:
        scope: Any = frame.f_locals.get("scope")
        if isinstance(scope, dict) and scope.get("type") == "http":
            template = getattr(scope.get("route"), "path_format", None)
            return None if template is None else f"{scope.get('method')} {template}"
        frame = frame.f_back
    return None

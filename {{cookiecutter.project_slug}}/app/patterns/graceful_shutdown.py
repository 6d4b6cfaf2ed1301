"""Start whole and stop without dropping a request: a uvicorn server with a bound on every phase of its life.

The threat: uvicorn refuses connections the moment SIGTERM comes, while the load balancer still sends; it waits
without bound for start-up and shut-down of the application, cancels overdue requests without waiting for them,
and ends by the signal it caught, so that an orderly stop looks like a crash. A start-up that hangs or fails leaves
a stack of tracebacks, or a process that serves nothing.

What it does, on the first SIGTERM or SIGINT:

1. ``Lifecycle.phase`` becomes ``draining``: the readiness check fails, ``on_drain`` is called (answers begin to
   say ``connection: close``), and connections are still accepted for ``drain_delay``, while balancers notice;
2. the listener closes, idle connections close, requests in flight have ``drain_timeout``; what is left is cancelled
   and awaited;
3. the application's lifespan ends within ``shutdown_timeout``; ``exit_code`` is 0, or 1 if it failed.

``Lifecycle.retire`` does the same for a process that has to be replaced, and ``exit_code`` is ``RETIRED``.

A second signal ends the process at once with 128 + its number, without any clean-up: whoever sends it has decided.
A signal during start-up ends the start-up. A lifespan that raises, says that it failed or takes longer than
``startup_timeout`` fails the start with the application's own exception, or with ``StartupFailed``; one that the
application does not implement fails too, because "unsupported" and "broken" look the same.

What it does not do: it cannot stop code that blocks the event loop, nor bound the import of the application; the
orchestrator's kill is behind it. Background tasks of the application stop in its lifespan, not here.

To lift it: copy this file (needs ``uvicorn`` 0.54, whose ``Server`` it extends: pin the minor version, keep the
test) and wire::

    lifecycle = Lifecycle()  # read by the readiness check
    server = GracefulServer(uvicorn.Config(app), lifecycle=lifecycle)
    server.run()
    sys.exit(server.exit_code)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import FrameType

    from starlette.types import ASGIApp, Message

logger = logging.getLogger(__name__)

Phase = Literal["starting", "ready", "draining"]

RETIRED = 75
"""Exit code of a process that is to be replaced: ``EX_TEMPFAIL`` of sysexits.h, "try again"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownConfig:
    """Bounds in seconds. The last four add up to Kubernetes' ``terminationGracePeriodSeconds`` of 30."""

    startup_timeout: float = 60.0
    """For the application's lifespan to start: migrations are not run there, connections are made."""
    drain_delay: float = 5.0
    """Accepting goes on for so long after readiness failed: a kubelet and a balancer look every few seconds. 0
    where nobody looks, as in development."""
    drain_timeout: float = 20.0
    """For requests in flight; must exceed the longest route's timeout."""
    cancel_timeout: float = 1.0
    """For requests that were cancelled then, and for their answers to leave."""
    shutdown_timeout: float = 4.0
    """For the application's lifespan to end."""

    @property
    def total(self) -> float:
        """Seconds from the signal to the end at the latest."""
        return self.drain_delay + self.drain_timeout + self.cancel_timeout + self.shutdown_timeout


class StartupFailed(Exception):
    """The service did not start; the text is meant for whoever started it."""


def _nothing() -> None:
    """Do nothing."""


class Lifecycle:
    """The phase that this process is in.

    Args:
        processes: how many serve beside each other, this one included: they share what the machine has.

    Attributes:
        phase: ``starting`` until the application's lifespan has started and the listener listens, then
            ``ready``, and ``draining`` from the first signal on.
        retiring: this process asked to be replaced.
        on_retire: what that does; set by the server.
    """

    def __init__(self, processes: int = 1) -> None:
        self.phase: Phase = "starting"
        self.processes = processes
        self.retiring = False
        self.on_retire: Callable[[], None] = _nothing

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.phase == "ready"

    def retire(self) -> None:
        """Ask for an orderly end, after which whoever started this process starts another. Once is enough."""
        if not self.retiring:
            self.retiring = True
            self.on_retire()


class Lifespan:
    """Drives the ASGI lifespan protocol of one application, with bounds.

    Args:
        app: the application.
        startup_timeout: seconds for it to start.
        shutdown_timeout: seconds for it to stop.

    Attributes:
        state: given to the lifespan, and copied into the scope of each request.
        should_exit: always false; part of what uvicorn asks of a lifespan.
    """

    should_exit = False

    def __init__(self, app: ASGIApp, *, startup_timeout: float, shutdown_timeout: float) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._startup_timeout, self._shutdown_timeout = startup_timeout, shutdown_timeout
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._started, self._stopped = asyncio.Event(), asyncio.Event()
        self._complaint: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application.

        Raises:
            StartupFailed: it failed without an exception, or took too long.
            BaseException: what the application raised; ``CancelledError`` after ``abandon``.
        """
        self._task = task = asyncio.create_task(self._run())
        self._events.put_nowait({"type": "lifespan.startup"})
        in_time = False
        try:
            in_time = await _first(self._started, task, self._startup_timeout)
        finally:
            if not in_time:
                task.cancel()
        if not in_time:
            raise StartupFailed(f"the application did not start within {self._startup_timeout:g} s")
        if task.done():
            task.result()
        if self._complaint is not None or not self._started.is_set():
            raise StartupFailed(self._complaint or "the application's lifespan ended without having started")

    def abandon(self) -> None:
        """Give up the start-up that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def shutdown(self) -> bool:
        """Stop the application; return whether it stopped as it should."""
        task = self._task
        if task is None or task.cancelled():
            return True
        self._events.put_nowait({"type": "lifespan.shutdown"})
        if not await _first(self._stopped, task, self._shutdown_timeout):
            task.cancel()
            logger.error("the application did not stop within %g s", self._shutdown_timeout)
            return False
        error = task.exception() if task.done() else None
        if error is not None or self._complaint is not None:
            logger.error("the application failed to stop: %s", self._complaint or "", exc_info=error)
            return False
        return True

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._events.get, self._send)

    async def _send(self, message: Message) -> None:
        step, outcome = message["type"].removeprefix("lifespan.").split(".")
        if outcome == "failed":
            self._complaint = message.get("message") or f"the application's {step} failed"
            if step == "startup":  # an application that also raises says more, so its task is waited for
                return
        (self._started if step == "startup" else self._stopped).set()


async def _first(event: asyncio.Event, task: asyncio.Task[None], timeout: float) -> bool:  # noqa: ASYNC109 - the end of the wait is a result here, no error
    """Wait for ``event`` or the end of ``task``; return false after ``timeout`` seconds."""
    waiter = asyncio.create_task(event.wait())
    try:
        done, _ = await asyncio.wait({waiter, task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return bool(done)


class GracefulServer(uvicorn.Server):
    """uvicorn's server with the phases of the module's docstring.

    Args:
        config: uvicorn's; its ``lifespan`` and ``timeout_graceful_shutdown`` play no part.
        lifecycle: told of each phase.
        shutdown: the bounds.
        on_ready: called once the listener listens.
        on_drain: called when draining begins.
        supervised: a parent process decides: SIGINT (which a terminal sends to all) and repeated SIGTERM are
            ignored.

    Attributes:
        exit_code: for ``sys.exit`` after ``run()``.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        lifecycle: Lifecycle,
        shutdown: ShutdownConfig | None = None,
        on_ready: Callable[[], None] = _nothing,
        on_drain: Callable[[], None] = _nothing,
        supervised: bool = False,
    ) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._lifecycle = lifecycle
        self._bounds = shutdown or ShutdownConfig()
        self._on_ready = on_ready
        self._on_drain = on_drain
        self._supervised = supervised
        self._signals = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lifespan: Lifespan | None = None
        lifecycle.on_retire = self._retire

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen.

        Raises:
            StartupFailed: the application did not start, or the address cannot be listened on.
            BaseException: what the application's lifespan raised.
        """
        self._loop = asyncio.get_running_loop()
        self.lifespan = self._lifespan = Lifespan(
            self.config.loaded_app,
            startup_timeout=self._bounds.startup_timeout,
            shutdown_timeout=self._bounds.shutdown_timeout,
        )
        try:
            await super().startup(sockets=sockets)
        except asyncio.CancelledError:
            if self.should_exit:  # by a signal, which cancelled the application's task and not this one
                return
            raise
        except OSError as error:
            await self._lifespan.shutdown()
            raise StartupFailed(f"cannot listen: {error.strerror or error}") from error
        if not self.should_exit:
            self._lifecycle.phase = "ready"
            self._on_ready()

    def begin_drain(self, delay: float | None = None) -> None:
        """Stop after ``delay`` seconds, by default ``drain_delay``. Call it in the loop's thread."""
        if self._loop is None or self._lifecycle.phase == "starting":
            self.should_exit = True
            if self._lifespan is not None:
                self._lifespan.abandon()
            return
        if self._lifecycle.phase == "ready":
            self._lifecycle.phase = "draining"
            logger.info("draining")
            self._on_drain()
        self._loop.call_later(self._bounds.drain_delay if delay is None else delay, self._stop)

    def drain_soon(self, delay: float | None = None) -> None:
        """``begin_drain`` for another thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped already
                self._loop.call_soon_threadsafe(self.begin_drain, delay)

    def _retire(self) -> None:
        # A supervisor's other workers take what comes; nobody outside has to notice first.
        self.begin_drain(0.0 if self._supervised else None)

    def _stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, let requests finish within their bound, then stop the application."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        logger.info("no longer accepting; %d requests in flight", len(self.server_state.tasks))
        await self._until_done(self._bounds.drain_timeout)
        tasks = tuple(self.server_state.tasks)
        if tasks:
            logger.warning("cancelling %d requests that did not finish in time", len(tasks))
            for task in tasks:
                task.cancel()
            await self._until_done(self._bounds.cancel_timeout)
        stopped = await self.lifespan.shutdown()
        self.exit_code = 1 if not stopped else RETIRED if self._lifecycle.retiring else 0

    async def _until_done(self, timeout: float) -> None:  # noqa: ASYNC109 - callers go on after it
        """Wait until every request is answered and every connection closed, or ``timeout`` seconds."""
        state, loop = self.server_state, asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while state.connections or state.tasks:
            for connection in tuple(state.connections):
                connection.shutdown()  # again each time: some were accepted just before the listener closed
            if loop.time() >= deadline:
                return
            await asyncio.sleep(0.02)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on the first signal, end on the second; unlike uvicorn, do not die of the signal afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, _frame: FrameType | None) -> None:
            self._signals += 1
            if self._signals == 1:
                loop.call_soon_threadsafe(self.begin_drain)
            elif not self._supervised:
                os._exit(128 + number)

        interrupt: Any = signal.SIG_IGN if self._supervised else handle
        previous = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, handle),
            signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

"""Several worker processes that cannot half die: a supervisor that restarts, gives up, drains and never leaves orphans.

The threat: a worker that dies is not replaced, or is replaced in a loop that burns a core and fills the log; a
service that cannot boot keeps restarting instead of saying why; the supervisor is killed and its workers go on
serving an old version, on a port that nobody can bind any more. (uvicorn's own supervisor restarts without pause,
exits 0 when no worker can boot, ignores a second signal, and leaves its workers behind when it is killed.)

What it does:

* starts ``workers`` processes by *spawn*, so that nothing is shared but what is passed: the listening socket;
* a worker says over its pipe that it is ready. One that ends, or says nothing within ``boot_timeout``, before any
  worker is ready ends the whole with that worker's message and exit code. Later it is restarted, as one that dies
  is, after a pause that doubles up to a bound, while the others serve;
* SIGTERM or SIGINT: closes its own copy of the listener (``on_stop``), sends SIGTERM to all, waits ``stop_timeout``,
  kills what is left. The exit code is 0 if all ended with 0, or by that SIGTERM. A second signal kills all at once:
  128 + its number;
* a worker whose supervisor has gone reads the end of its pipe, in a thread, so even while it is blocked: it drains,
  and ends after ``orphan_timeout`` in any case.

What it does not do: it does not look whether a worker that lives also answers (the orchestrator's liveness probe
does), share the load evenly (the kernel wakes whoever accepts first) or reload code.

To lift it: copy this file (standard library only, Unix) and wire::

    def work(link: SupervisorLink, listener: socket.socket) -> int: ...  # link.ready() once it serves

    if __name__ == "__main__":
        sys.exit(Supervisor(work, (listener,), workers=4, on_stop=listener.close).run())
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import FrameType

logger = logging.getLogger(__name__)

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """Bounds in seconds."""

    boot_timeout: float = 90.0
    """From the start of a process to its ``ready``: imports, and a start-up timeout of 60 inside."""
    restart_delay: float = 0.5
    """Before a worker that died is replaced; doubles with each death in a row."""
    max_restart_delay: float = 30.0
    """At most: with a cause that passes, the service is whole again half a minute later."""
    stable_after: float = 60.0
    """A worker that lived so long died of something new: the delay starts afresh."""
    stop_timeout: float = 31.0
    """For workers to end after SIGTERM, before SIGKILL; just above what they allow themselves."""
    orphan_timeout: float = 30.0
    """For a worker to end by itself once its supervisor has gone."""


class SupervisorLink:
    """A worker's end of the pipe to its supervisor.

    Args:
        connection: the pipe.
        patience: seconds from the supervisor's end to this process's, at the latest.
    """

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._on_orphaned: Callable[[], None] | None = None
        threading.Thread(target=self._watch, name="supervisor-link", daemon=True).start()

    def ready(self) -> None:
        """Say that this worker serves."""
        self._tell("ready", "", 0)

    def failed(self, message: str, exit_code: int) -> None:
        """Say why this worker cannot serve; exit with ``exit_code`` afterwards."""
        self._tell("failed", message, exit_code)

    def on_orphaned(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called, in another thread, when the supervisor is gone; without one the process ends."""
        self._on_orphaned = callback

    def _tell(self, kind: str, message: str, exit_code: int) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone: the thread sees to that
            self._connection.send((kind, message, exit_code))

    def _watch(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            self._connection.recv()  # nothing is ever sent: it returns when the other end is closed
        if self._on_orphaned is not None:
            self._on_orphaned()
            time.sleep(self._patience)
        os._exit(1)


Work = Callable[..., int]
"""``work(link, *arguments)`` -> exit code; an importable function, since workers are spawned."""


def _run_worker(work: Work, arguments: tuple[Any, ...], connection: Connection, patience: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the supervisor passes it on
    sys.exit(work(SupervisorLink(connection, patience), *arguments))


def _to_stderr(message: str) -> None:
    sys.stderr.write(message + "\n")


class _Slot:
    """The place of one worker: its process now, and what became of those before."""

    def __init__(self) -> None:
        self.process: SpawnProcess | None = None
        self.connection: Connection | None = None
        self.ready = False
        self.failure: tuple[str, int] | None = None
        self.started = 0.0
        self.deaths = 0
        self.due = 0.0  # when to start the next process, if there is none


class Supervisor:
    """Runs ``work`` in several processes until a signal comes, or until none of them can boot.

    Args:
        work: see ``Work``.
        arguments: passed on to it; picklable, sockets included.
        workers: how many processes.
        config: the bounds.
        on_stop: called once when stopping begins: close this process's copy of the listener.
        report: is given the message of a worker that could not boot; by default written to stderr.
    """

    def __init__(
        self,
        work: Work,
        arguments: tuple[Any, ...] = (),
        *,
        workers: int,
        config: SupervisorConfig | None = None,
        on_stop: Callable[[], None] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._work = work
        self._arguments = arguments
        self._config = config or SupervisorConfig()
        self._slots = [_Slot() for _ in range(workers)]
        self._on_stop = on_stop
        self._report = report or _to_stderr
        self._signals: list[int] = []
        self._stop_by: float | None = None
        self._exit_code = 0

    def run(self) -> int:
        """Run until all workers have ended; return the exit code. Needs the main thread."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)

        def handle(number: int, _frame: FrameType | None) -> None:
            self._signals.append(number)

        # The kernel may give a signal to any thread. The handler runs in this one, but not before it wakes: the
        # interpreter writes to the pipe at once, from whichever thread it was.
        previous_waker = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._finished():
                self._step(wake)
        finally:
            self._kill()
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_waker)
            os.close(wake)
            os.close(waker)
        return self._exit_code

    def _finished(self) -> bool:
        return self._stop_by is not None and all(slot.process is None for slot in self._slots)

    def _step(self, wake: int) -> None:
        """Start what is due, wait for something to happen, and take note of it."""
        now = time.monotonic()
        if self._stop_by is None:
            for slot in self._slots:
                if slot.process is None and now >= slot.due:
                    self._start(slot)
        self._check_bounds(now)
        woken = self._wait(wake, max(0.0, self._next_bound(now) - now))
        for slot in self._slots:  # all first: whether a death ends the whole depends on who is ready
            if slot.connection in woken:
                self._listen(slot)
        for slot in self._slots:
            if slot.process is not None and slot.process.sentinel in woken:
                self._bury(slot)
        self._heed_signals()

    def _wait(self, wake: int, timeout: float) -> list[Any]:
        waited: list[Any] = [wake]
        for slot in self._slots:
            if slot.process is not None:
                waited.append(slot.process.sentinel)
            if slot.connection is not None:
                waited.append(slot.connection)
        woken = multiprocessing.connection.wait(waited, timeout=timeout)
        if wake in woken:
            os.read(wake, 64)
        return woken

    def _next_bound(self, now: float) -> float:
        """Return when to look again though nothing happened."""
        if self._stop_by is not None:
            return self._stop_by
        bounds = [now + 60.0]
        for slot in self._slots:
            if slot.process is None:
                bounds.append(slot.due)
            elif not slot.ready:
                bounds.append(slot.started + self._config.boot_timeout)
        return min(bounds)

    def _start(self, slot: _Slot) -> None:
        """Start a process; where the system has none to give, try again later, as long as others serve."""
        try:
            ours, theirs = _spawn.Pipe()
            arguments = (self._work, self._arguments, theirs, self._config.orphan_timeout)
            process = _spawn.Process(target=_run_worker, args=arguments, name="worker")
            process.start()
        except OSError as error:
            if not any(other.ready for other in self._slots):
                raise
            slot.deaths += 1
            logger.error("cannot start a worker (%s); trying again in %.1f s", error, self._later(slot))  # noqa: TRY400
            return
        theirs.close()
        slot.process, slot.connection = process, ours
        slot.ready, slot.failure, slot.started = False, None, time.monotonic()

    def _later(self, slot: _Slot) -> float:
        """Put off the next process of a slot, longer with each death in a row; return for how many seconds."""
        delay: float = min(self._config.restart_delay * 2 ** min(slot.deaths - 1, 16), self._config.max_restart_delay)
        slot.due = time.monotonic() + delay
        return delay

    def _listen(self, slot: _Slot) -> None:
        connection = slot.connection
        if connection is None:
            return
        try:
            kind, message, exit_code = connection.recv()
        except (EOFError, OSError):
            connection.close()
            slot.connection = None
            return
        if kind == "ready":
            slot.ready = True
        else:
            slot.failure = (message, exit_code)

    def _bury(self, slot: _Slot) -> None:
        """Take note of a process that has ended, and decide what follows."""
        process = slot.process
        if process is None:
            return
        process.join()
        code, lived, pid = process.exitcode or 0, time.monotonic() - slot.started, process.pid
        process.close()
        if slot.connection is not None:
            slot.connection.close()
        slot.process = slot.connection = None
        if self._stop_by is not None:
            if code not in {0, -signal.SIGTERM}:  # by SIGTERM itself: it was not ready yet
                self._exit_code = self._exit_code or 1
            return
        message, exit_code = slot.failure or (f"worker {pid} ended with {code} before it was ready", 1)
        if not slot.ready and not any(other.ready for other in self._slots):
            self._report(message)
            self._stop(exit_code)
            return
        was_ready, slot.ready = slot.ready, False
        slot.deaths = 1 if was_ready and lived >= self._config.stable_after else slot.deaths + 1
        delay = self._later(slot)
        what = f"ended with {code}" if was_ready else f"could not boot: {message}"
        logger.error("worker %d %s; starting another in %.1f s", pid, what, delay)

    def _check_bounds(self, now: float) -> None:
        if self._stop_by is not None and now >= self._stop_by:
            logger.error("workers did not end within %g s: killed", self._config.stop_timeout)
            self._exit_code = self._exit_code or 1
            self._kill()
            return
        for slot in self._slots:
            if slot.process is not None and not slot.ready and self._stop_by is None:
                limit = self._config.boot_timeout
                if now >= slot.started + limit:  # also one that said why it cannot serve, and then did not end
                    slot.failure = slot.failure or (f"worker {slot.process.pid} was not ready within {limit:g} s", 1)
                    slot.process.kill()

    def _heed_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if self._stop_by is None:
                self._stop(0)
            else:
                self._exit_code = 128 + number
                self._kill()

    def _stop(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._stop_by = time.monotonic() + self._config.stop_timeout
        if self._on_stop is not None:
            self._on_stop()
        for slot in self._slots:
            if slot.process is not None:
                slot.process.terminate()

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.join()
                slot.process = None

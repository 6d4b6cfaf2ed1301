"""Thread pool: what blocks runs beside the event loop, in a bounded number of threads of which nobody gets all.

Threat: a synchronous handler that hangs keeps its thread after its caller was answered. Frameworks run all of them in
one pool (40 threads of AnyIO's), give the place back when the caller is, and start another thread: either forty hanging
calls stop every synchronous route, or threads grow without a bound. And a process that cannot end, because it waits
for a thread that hangs.

What it does: ``threads`` run at a time, at most ``per_key`` of them for one key (a route); a place is given back when
the function has returned, and not when its caller has left. Who finds no place waits for ``max_wait``, at most
``queue`` of them, and is then told :class:`ThreadsBusy`; so is who needs a thread that the system does not give. The
function runs in its caller's context (PEP 567). Threads are daemons: the end of the process does not wait for one that
hangs.

Defaults: 40 threads, as AnyIO and Starlette have; 10 for one key, so that three routes may hang and the fourth still
has some; 100 that wait for a second.

What it does not do: stop a thread, which Python cannot; give a time limit (``asyncio.timeout`` round the call lets go
of it); use another core, as long as there is a global lock.

To lift it: needs nothing. ``pool = ThreadPool()``, then ``await pool.run("GET /report", make_report, year)``; or
``@pool.wrap("GET /report")`` on a function that a framework would run in a thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

_NAME: Final = "bounded-thread"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPoolConfig:
    """How many.

    Attributes:
        threads: that run at a time.
        per_key: of them for one key.
        queue: calls that may wait.
        max_wait: seconds that a call waits for a thread.
    """

    threads: int = 40
    per_key: int = 10
    queue: int = 100
    max_wait: float = 1.0


class ThreadsBusy(Exception):
    """There is no thread for this call, or none in time; nothing was called.

    Attributes:
        key: whose call it was.
        reason: ``queue_full``, ``waited``, or ``no_thread`` (the system gives no further one).
        retry_after: seconds after which to try again.
    """

    def __init__(self, key: str, reason: str, retry_after: float) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason
        self.retry_after = retry_after


class _Call:
    """One function on its way through a thread."""

    __slots__ = ("context", "done", "function", "key", "loop")

    def __init__(self, key: str, function: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        self.key, self.function, self.done = key, function, done
        self.context = contextvars.copy_context()
        self.loop = done.get_loop()


class ThreadPool:
    """Runs functions in threads. Belongs to one event loop.

    Args:
        config: how many.

    Raises:
        ValueError: there would be no thread for a call.

    Attributes:
        running: functions that run at this moment, those whose callers have left too.
    """

    def __init__(self, config: ThreadPoolConfig | None = None) -> None:
        self.config = config or ThreadPoolConfig()
        if not 1 <= self.config.per_key <= self.config.threads or self.config.queue < 0 or self.config.max_wait <= 0:
            raise ValueError("1 <= per_key <= threads, queue at least 0, max_wait more than 0")
        self.running = 0
        self._by_key: dict[str, int] = {}
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = 0

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a thread."""
        return len(self._waiting)

    async def run(self, key: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in a thread and return what it returns.

        Args:
            key: whose call it is; the number of keys must be bounded.
            function: what to run.
            args: for it.
            kwargs: for it.

        Raises:
            ThreadsBusy: there is no thread, or none in time.
        """
        if self._has_place(key):  # nobody who waits could have it: whoever may is served as soon as a place comes back
            self._take(key)
        else:
            await self._wait(key)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._threads < self.running:  # whoever is idle takes it; a thread more only where nobody is
            try:
                _start(self._serve)
            except (RuntimeError, MemoryError) as error:  # no memory for its stack, or no more tasks in this container
                self._give_back(key)
                raise ThreadsBusy(key, "no_thread", self.config.max_wait) from error
            self._threads += 1
        self._calls.put(_Call(key, functools.partial(function, *args, **kwargs), done))
        return await done

    def wrap(self, key: str) -> Callable[[Callable[P, T]], Callable[P, Coroutine[Any, Any, T]]]:
        """Return a decorator that makes of a function one to be awaited, which runs it in a thread."""

        def decorate(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
            @functools.wraps(function)
            async def in_a_thread(*args: P.args, **kwargs: P.kwargs) -> T:
                return await self.run(key, function, *args, **kwargs)

            return in_a_thread

        return decorate

    def close(self) -> None:
        """Let idle threads end. Those that hang end with the process."""
        for _ in range(self._threads):
            self._calls.put(None)
        self._threads = 0

    def _has_place(self, key: str) -> bool:
        return self.running < self.config.threads and self._by_key.get(key, 0) < self.config.per_key

    def _take(self, key: str) -> None:
        self.running += 1
        self._by_key[key] = self._by_key.get(key, 0) + 1

    async def _wait(self, key: str) -> None:
        """Wait for a place, which is the caller's when this returns."""
        if len(self._waiting) >= self.config.queue:
            raise ThreadsBusy(key, "queue_full", self.config.max_wait)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (key, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(self.config.max_wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_back(key)  # the place came in the same moment: it goes on to the next
            elif entry in self._waiting:
                self._waiting.remove(entry)
            if isinstance(error, TimeoutError):
                raise ThreadsBusy(key, "waited", self.config.max_wait) from None
            raise

    def _give_back(self, key: str) -> None:
        """Give a place back, and to the first who waits and may have one."""
        self.running -= 1
        left = self._by_key[key] - 1
        if left:
            self._by_key[key] = left
        else:
            del self._by_key[key]
        for entry in tuple(self._waiting):
            if self.running >= self.config.threads:
                return
            waits, turn = entry
            if turn.done():  # who has left may not have been able to leave the queue yet
                self._waiting.remove(entry)
            elif self._has_place(waits):
                self._waiting.remove(entry)
                self._take(waits)
                turn.set_result(None)

    def _serve(self) -> None:
        """Run calls until there are no more."""
        while True:
            call = self._calls.get()
            if call is None:
                return
            result, error = None, None
            try:
                result = call.context.run(call.function)
            except BaseException as raised:  # noqa: BLE001 - it is its caller's
                error = raised
            try:
                call.loop.call_soon_threadsafe(self._ended, call, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody is left to be told
            del call, result, error  # an idle thread keeps nothing alive

    def _ended(self, call: _Call, result: Any, error: BaseException | None) -> None:
        self._give_back(call.key)
        if call.done.done():
            return  # its caller has left
        if error is None:
            call.done.set_result(result)
        elif isinstance(error, StopIteration):
            call.done.set_exception(RuntimeError("the function raised StopIteration"))  # a future cannot hold it
        else:
            call.done.set_exception(error)


def _start(serve: Callable[[], None]) -> None:
    """Start a thread that inherits nothing of the call that happened to need it first."""
    contextvars.Context().run(threading.Thread(target=serve, name=_NAME, daemon=True).start)

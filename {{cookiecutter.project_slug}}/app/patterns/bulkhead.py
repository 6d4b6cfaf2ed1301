"""Bulkhead: so many calls at a time, so many that wait for a place, and a clear no to the rest.

Threat: one slow service fills the process with calls that wait for it, until there is nothing left for the others. And
the cure's own: a queue without a bound, which is the same fault one step further; callers who wait for a place that
comes after their time is up; a place that is lost with a caller who left.

What it does: ``concurrency`` calls run, ``queue`` more wait in order of arrival, the next is refused with
:class:`BulkheadFull`. A wait ends when the caller's time does, and a caller whose time will be up before its turn
(judged by how long calls have taken lately) is refused at once, so that it can still do something else. A place goes
straight to the next in the queue; a caller who leaves, waiting or just served, gives it on.

Defaults: 20 and 20. 20 calls of 50 ms are 400 a second from one process; a queue as long as the places doubles the
time of a call at most. resilience4j has 25 and no wait, Polly leaves both to you.

What it does not do: cancel what runs (a time limit's work), count calls of other processes, or tell services apart:
make one for each.

To lift it: needs nothing. ``files = Bulkhead(BulkheadConfig(concurrency=4, queue=8))``, then
``await files.call(convert, name)`` or ``@files.wrap``.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

_WEIGHT: Final = 0.1
"""Of the last call in the mean of how long calls take: about the last twenty count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadConfig:
    """How many.

    Attributes:
        concurrency: calls at a time.
        queue: calls that may wait; 0 for none.
        max_wait: seconds that a caller without a deadline waits.
        min_retry_after: seconds that a refused caller is told at least.
    """

    concurrency: int = 20
    queue: int = 20
    max_wait: float = 5.0
    min_retry_after: float = 1.0


class BulkheadFull(Exception):
    """There is no place, or none in time; nothing was called.

    Attributes:
        reason: ``queue_full``, ``too_late`` (it would not have been its turn in time) or ``timeout`` (it was not).
        retry_after: seconds after which to try again.
    """

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Observer(Protocol):
    """Sees how long calls waited."""

    def __call__(self, event: str, *, seconds: float) -> None:
        """``queued``: a call waited for ``seconds``, whether it got a place or not."""


class Bulkhead:
    """Bounds how many calls run and wait. Belongs to one event loop.

    Args:
        config: how many.
        clock: seconds, monotonic.
        observe: sees each wait.

    Raises:
        ValueError: there would be no place at all.
    """

    def __init__(
        self,
        config: BulkheadConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        observe: Observer | None = None,
    ) -> None:
        self.config = config or BulkheadConfig()
        if self.config.concurrency < 1 or self.config.queue < 0 or self.config.max_wait <= 0:
            raise ValueError("concurrency is at least 1, queue at least 0, max_wait more than 0")
        self._clock, self._observe = clock, observe
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held = 0.0
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """Number of calls that wait."""
        return len(self._waiting)

    def expected_wait(self) -> float:
        """Return how many seconds the next caller would wait, judged by how long calls have taken lately."""
        if self.in_flight < self.config.concurrency:
            return 0.0
        return self._held * (len(self._waiting) + 1) / self.config.concurrency

    async def call(
        self,
        function: Callable[..., Awaitable[T]],
        *args: object,
        remaining: Callable[[], float | None] | None = None,
        **kwargs: object,
    ) -> T:
        """Call ``function`` once there is a place, and return what it returns.

        Args:
            function: what to call.
            args: for it.
            remaining: seconds that its caller has left, None for no end.
            kwargs: for it.

        Raises:
            BulkheadFull: there is no place, or none in time.
        """
        if self.in_flight < self.config.concurrency:
            self.in_flight += 1
        else:
            await self._wait(None if remaining is None else remaining())
        started = self._clock()
        try:
            return await function(*args, **kwargs)
        finally:
            self._held += (self._clock() - started - self._held) * _WEIGHT
            self._release()

    def wrap(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Return ``function`` behind this bulkhead; usable as a decorator."""

        @functools.wraps(function)
        async def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(lambda: function(*args, **kwargs))

        return bounded

    async def _wait(self, left: float | None) -> None:
        """Wait for a place, which is the caller's when this returns."""
        patience = self.config.max_wait if left is None else left
        if len(self._waiting) >= self.config.queue:
            raise self._full("queue_full")
        if self.expected_wait() >= patience:
            raise self._full("too_late")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        started = self._clock()
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._release()  # the place came in the same moment: it goes on to the next
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._full("timeout") from None
            raise
        finally:
            if self._observe is not None:
                self._observe("queued", seconds=self._clock() - started)

    def _release(self) -> None:
        """Give a place to the next in the queue, or back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # who has left may not have been able to leave the queue yet
                turn.set_result(None)
                return
        self.in_flight -= 1

    def _full(self, reason: str) -> BulkheadFull:
        return BulkheadFull(reason, max(self.expected_wait(), self.config.min_retry_after))

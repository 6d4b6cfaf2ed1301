"""Hedging: a second attempt beside a first that is late; whichever answers first wins.

Threat: one answer in a hundred takes ten times as long as the others (a pause, a lost packet, one bad host), and
whoever calls several services meets it on every other request (Dean and Barroso, "The Tail at Scale", 2013). And the
cure's own: twice the load on a service that is slow because it has too much, an effect done twice, attempts that go on
when nobody wants their answer any more.

What it does: :meth:`Hedging.call` calls the function, and once more if it has not ended after ``delay`` and ``pay``
allows (a retry budget, say). The first success is returned; a failure waits for the other attempt, and the last failure
is raised. The attempt that lost is cancelled and waited for. A failure *before* the delay is no reason to hedge: that
is a retry's work.

Only for calls that may be made twice: a GET, say. The delay should be what 95 of a hundred calls take, so that the load
grows by five in a hundred.

What it does not do: measure that delay, or stop a loser that swallows its cancellation; it is waited for, ``grace``
seconds at most.

To lift it: needs nothing. ``await Hedging(HedgingConfig(delay=0.1), pay=lambda: True).call(fetch, "/rates")``.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgingConfig:
    """When.

    Attributes:
        delay: seconds after which a second attempt is made. Polly's default is 2; the paper's rule is the 95th
            percentile of what calls take.
        grace: seconds that a loser has to end once it is cancelled.
    """

    delay: float = 2.0
    grace: float = 1.0


class Observer(Protocol):
    """Sees the hedges."""

    def __call__(self, event: str) -> None:
        """``hedged``: a second attempt begins; ``won``: it was the first to answer; ``unpaid``: it was not allowed."""


class Hedging:
    """Makes a second attempt where the first is late.

    Args:
        config: when.
        pay: called before each second attempt; False means no.
        sleep: waits for the delay.
        observe: sees the hedges.

    Raises:
        ValueError: a time is negative.
    """

    def __init__(
        self,
        config: HedgingConfig | None = None,
        *,
        pay: Callable[[], bool],
        sleep: Callable[[float], Coroutine[object, object, None]] = asyncio.sleep,
        observe: Observer | None = None,
    ) -> None:
        self.config = config or HedgingConfig()
        if self.config.delay < 0 or self.config.grace < 0:
            raise ValueError("delay and grace are not negative")
        self._pay, self._sleep = pay, sleep
        self._observe: Observer = observe or (lambda _event: None)

    async def call(self, function: Callable[..., Coroutine[object, object, T]], *args: object, **kwargs: object) -> T:
        """Call ``function``, twice if it is late, and return what it first returns.

        Raises:
            Exception: of the attempt that ended last, if both failed.
        """
        first = asyncio.create_task(function(*args, **kwargs))
        delay = asyncio.create_task(self._sleep(self.config.delay))
        attempts = [first]
        try:
            await asyncio.wait((first, delay), return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                return first.result()
            if not self._pay():
                self._observe("unpaid")
                return await first
            self._observe("hedged")
            second = asyncio.create_task(function(*args, **kwargs))
            attempts.append(second)
            pending = set(attempts)
            while True:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                well = [task for task in done if not task.cancelled() and task.exception() is None]
                if well or not pending:
                    winner = first if first in well else (well or list(done))[0]
                    if winner is second and well:
                        self._observe("won")
                    return winner.result()
        finally:
            await self._end([delay, *attempts])

    def wrap(self, function: Callable[P, Coroutine[object, object, T]]) -> Callable[P, Coroutine[object, object, T]]:
        """Return ``function`` with hedging; usable as a decorator."""

        @functools.wraps(function)
        async def hedged(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(lambda: function(*args, **kwargs))

        return hedged

    async def _end(self, tasks: list[asyncio.Task[T] | asyncio.Task[None]]) -> None:
        """Cancel what still runs and wait until it has ended: no task is left without an owner."""
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=self.config.grace)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # looked at, so that nothing is logged about it

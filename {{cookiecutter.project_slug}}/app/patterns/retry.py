"""Retry: what failed is tried again, where that is safe, where it may help, and as often as the service can bear.

Threat: a call fails for a reason that is gone a moment later, and the caller is told of it. And the cure's own: a
charge made twice; a service that is down getting three times its load, from everybody at once, at the same moments; a
retry that ends after everybody has left; ``Retry-After`` ignored.

What it does, by tenacity with these rules:

* A call is tried again if it is ``safe`` to be made twice (a GET; a POST with an idempotency key), or if its error
  proves that nothing was sent (``not_sent``). Errors that will come again (``retryable`` says no) or that are the
  caller's own brakes (``never``: an open circuit) are raised at once.
* Waits have full jitter: a random time up to 50 ms, 100 ms, ..., 2 s (AWS, "Exponential Backoff and Jitter"). An error
  with ``retry_after`` is waited for that long instead, and a random part of the first step more, so that those who were
  told the same second do not come in the same instant. Longer than ``max_retry_after`` is not waited for.
* No wait ends after the deadline: if it would, the error is raised now, while there is time to do something about it.
* A :class:`RetryBudget`, one for each service, bounds the load: retries are a fifth of the calls, or one a second.

What it does not do: bound one attempt's time (``time_limit.py`` does); retry in two layers, which multiplies: have one.

To lift it: needs ``tenacity``. ``retry = Retry()``, then ``await retry.call(fetch, "/rates", safe=True)`` or
``@retry.wrap(safe=True)``.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

BUDGET_MAX: Final = 40.0
"""Retries that may be saved up: enough for a short fault; of 1,000 calls to a dead service, 100 a second, come fewer
than 1,250 attempts."""

BUDGET_START: Final = 10.0
"""Retries of a service that was not called yet (10 s of the reserve, which is Finagle's time to live)."""

MARGIN: Final = 0.01
"""Seconds that have to be left after a wait: an attempt that has no time is none."""


class RetryBudget:
    """How many retries one service can bear: a share of the calls to it, or so many a second, whichever is more.

    After Finagle's ``RetryBudget``. Belongs to one event loop.

    Args:
        ratio: retries that each call pays for (Finagle, Envoy: 0.2).
        reserve: retries a second for a service that is hardly called.
        clock: seconds, monotonic.

    Attributes:
        tokens: retries that are left.
    """

    def __init__(
        self, *, ratio: float = 0.2, reserve: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ratio, self._reserve, self._clock = ratio, reserve, clock
        self._at = clock()
        self.tokens = BUDGET_START

    def deposit(self) -> None:
        """A call begins."""
        now = self._clock()
        self.tokens = min(self.tokens + max(self._ratio, (now - self._at) * self._reserve), BUDGET_MAX)
        self._at = now

    def withdraw(self) -> bool:
        """Pay for a retry; False if there is nothing to pay it from."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often, and how far apart. Times in seconds."""

    attempts: int = 3
    """Of one call, the first included (AWS SDKs; .NET's standard handler retries three times)."""
    base: float = 0.05
    """The longest first wait."""
    cap: float = 2.0
    """The longest wait of all."""
    max_retry_after: float = 30.0
    """The longest ``Retry-After`` that is waited for. Who was told to come back later had better tell its caller."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.attempts < 1 or not 0 < self.base <= self.cap or self.max_retry_after < 0:
            raise ValueError("attempts is at least 1, 0 < base <= cap, max_retry_after is not negative")


class Observer(Protocol):
    """Sees what becomes of failures."""

    def __call__(self, event: str, *, attempt: int, seconds: float, reason: str) -> None:
        """``retry``: after attempt number ``attempt`` (from 1), another one in ``seconds``.

        ``gave_up``: there will be none, for a ``reason``: ``attempts``, ``deadline``, ``retry_after``, ``budget``.
        """


@dataclass(slots=True)
class _Call:
    """One call, and the decision about its next attempt."""

    function: Callable[[], Awaitable[Any]]
    safe: bool
    remaining: Callable[[], float | None]
    first: BaseException | None = None


class Retry:
    """Tries calls to one service again. Belongs to one event loop.

    Args:
        config: how often, and how far apart.
        budget: shared by everything that retries calls to this service; default is one of its own.
        retryable: tells the errors that another attempt may not meet. Default: all.
        not_sent: tells the errors that prove that the service did not see the call. Default: none.
        never: tells the errors that are never retried, whatever the other two say. Default: none.
        sleep: waits between attempts.
        uniform: a number between two others, for what is added to ``retry_after``.
        observe: sees what becomes of failures.
    """

    def __init__(
        self,
        config: RetryConfig | None = None,
        *,
        budget: RetryBudget | None = None,
        retryable: Callable[[Exception], bool] = lambda _error: True,
        not_sent: Callable[[Exception], bool] = lambda _error: False,
        never: Callable[[Exception], bool] = lambda _error: False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        observe: Observer | None = None,
    ) -> None:
        self.config = config or RetryConfig()
        self.budget = budget or RetryBudget()
        self._retryable, self._not_sent, self._never = retryable, not_sent, never
        self._uniform, self._observe = uniform, observe
        self._backoff = wait_random_exponential(multiplier=self.config.base, max=self.config.cap)
        self._retrying = AsyncRetrying(
            retry=self._may_retry, wait=self._wait, stop=self._stops, sleep=sleep, reraise=True
        )

    async def call(
        self,
        function: Callable[..., Awaitable[T]],
        *args: object,
        safe: bool,
        remaining: Callable[[], float | None] = lambda: None,
        **kwargs: object,
    ) -> T:
        """Call ``function`` until it returns, and return that.

        Args:
            function: what to call.
            args: for it.
            safe: it may be made twice although the first may have arrived.
            remaining: seconds that its caller has left, None for no end.
            kwargs: for it.

        Raises:
            Exception: the error of the last attempt.
        """
        self.budget.deposit()
        try:
            return await function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - told apart by _may_retry, and raised
            failed = error
        # What goes well never meets tenacity, which costs as much as all the other layers together.
        call = _Call(functools.partial(function, *args, **kwargs), safe, remaining, first=failed)
        value: T = await self._retrying(_attempt, call)
        return value

    def wrap(self, *, safe: bool) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
        """Return a decorator: ``@retry.wrap(safe=True)``."""

        def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
            @functools.wraps(function)
            async def retried(*args: P.args, **kwargs: P.kwargs) -> T:
                return await self.call(lambda: function(*args, **kwargs), safe=safe)

            return retried

        return decorate

    def _may_retry(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, Exception) or self._never(error) or not self._retryable(error):
            return False
        call: _Call = state.args[0]
        return call.safe or self._not_sent(error)

    def _wait(self, state: RetryCallState) -> float:
        told = _told(state)
        return self._backoff(state) if told is None else told + self._uniform(0, self.config.base)

    def _stops(self, state: RetryCallState) -> bool:
        """Decide whether there is another attempt. tenacity has computed the wait before it asks."""
        call: _Call = state.args[0]
        left = call.remaining()
        wait, told = state.upcoming_sleep, _told(state)
        reason = ""
        if state.attempt_number >= self.config.attempts:
            reason = "attempts"
        elif told is not None and told > self.config.max_retry_after:
            reason = "retry_after"
        elif left is not None and wait + MARGIN >= left:
            reason = "deadline"
        elif not self.budget.withdraw():
            reason = "budget"
        if self._observe is not None:
            event = "gave_up" if reason else "retry"
            self._observe(event, attempt=state.attempt_number, seconds=0.0 if reason else wait, reason=reason)
        return bool(reason)


async def _attempt(call: _Call) -> Any:
    """Make an attempt; the first was made already."""
    if call.first is not None:
        error, call.first = call.first, None
        raise error
    return await call.function()


def _told(state: RetryCallState) -> float | None:
    """Return what the error says about when to come back, in seconds."""
    error = state.outcome.exception() if state.outcome is not None else None
    seconds: object = getattr(error, "retry_after", None)
    return float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None

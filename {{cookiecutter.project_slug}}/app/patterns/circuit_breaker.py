"""Circuit breaker: a service that fails is left alone for a while, and its callers are told at once.

Threat: a service that is down or slow is called again and again; every caller waits for its time to run out, and the
service never gets the rest that it needs to come back. And the cure's own, each seen in a library: a count of
*consecutive* failures, which half the calls failing never trips; all waiting callers let through at once when it is
tried again; a probe that never returns and leaves the circuit half-open for ever; clients who hang up counted as
failures of the service.

What it does (semantics of Polly v8 and resilience4j)::

    closed     calls pass. Once the window has ``minimum_throughput`` of them, and failures or slow calls
               reach their ratio -> open
    open       calls are refused with CircuitOpen, for a break that grows each time in a row, with jitter
               -> half-open
    half-open  ``permits`` calls pass, the others are refused. All of them well -> closed; one not -> open.
               Permits whose calls have not ended after ``permit_timeout`` are given out again
    isolated   refused, until a person calls reset()

A cancellation, and an error for which ``is_failure`` returns None, say nothing: they do not count, and give a permit
back. What ends in another state than it began in does not count either: it tells of a time that is over.

Defaults stand with their reasons in :class:`CircuitBreakerConfig`.

What it does not do: know of other processes (each learns for itself, within ``minimum_throughput`` calls), end calls
that are slow (a time limit's work), or try the service by itself: a probe is somebody's call.

To lift it: needs nothing. ``circuit = CircuitBreaker()``, then ``await circuit.call(fetch, "/rates")`` or
``@circuit.wrap``.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")


class State(StrEnum):
    """What a circuit does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """When it opens, and for how long. Times in seconds."""

    failure_ratio: float = 0.5
    """Share of failures that opens it (resilience4j). Polly's 0.1 suits hundreds of calls in a window."""
    slow_ratio: float = 0.8
    """Share of slow calls that opens it. resilience4j has 1.0, which one quick answer in a window prevents."""
    slow_after: float = 60.0
    """A call that takes as long is slow (resilience4j): more than anybody waits, so choose your own."""
    minimum_throughput: int = 20
    """Calls in the window before it may open. Polly and resilience4j have 100, for whole hosts; one of many workers
    sees less. With 20, a service that fails one call in ten at random reaches half once in 140,000 windows."""
    window: float = 30.0
    """Over which calls are counted (Polly)."""
    buckets: int = 10
    """Parts of the window, which are forgotten one by one."""
    permits: int = 3
    """Calls that try a service again (Polly 1, resilience4j 10): one may be lucky, ten are a burst."""
    permit_timeout: float = 30.0
    """After which a permit is given out again. Longer than any call should take."""
    break_base: float = 5.0
    """The first break (Polly)."""
    break_max: float = 60.0
    """The longest: a service that is back is used again within a minute."""
    jitter: float = 0.2
    """A break is up to so much longer or shorter, so that many processes do not come back at once."""
    spread: float = 1.0
    """Share of a break, after its end, over which those who were refused are told to come back. Told its end, all of
    them would come in the same moment: eleven times the usual load, in our measurements."""

    def __post_init__(self) -> None:
        """Refuse what could never open, or never close."""
        if not (0 < self.failure_ratio <= 1 and 0 < self.slow_ratio <= 1 and 0 <= self.jitter < 1 and self.spread >= 0):
            raise ValueError("failure_ratio and slow_ratio are in (0, 1], jitter is in [0, 1), spread is at least 0")
        if min(self.minimum_throughput, self.buckets, self.permits) < 1:
            raise ValueError("minimum_throughput, buckets and permits are at least 1")
        if min(self.slow_after, self.window, self.permit_timeout, self.break_base) <= 0:
            raise ValueError("slow_after, window, permit_timeout and break_base are more than 0")
        if self.break_max < self.break_base:
            raise ValueError("break_max is at least break_base")


class CircuitOpen(Exception):
    """The service is left alone; nothing was called.

    Attributes:
        state: open, half-open (its permits are taken) or isolated.
        retry_after: seconds after which to try again: what is left of the break, and a random part of it more. For an
            isolated circuit, whose end nobody knows, the longest break.
    """

    def __init__(self, state: State, retry_after: float) -> None:
        super().__init__(f"circuit is {state}; try again in {retry_after:.3g} s")
        self.state = state
        self.retry_after = retry_after


class Observer(Protocol):
    """Sees the changes of state. What it raises is raised to the caller whose outcome made the change."""

    def __call__(self, event: str, *, was: State, state: State) -> None:
        """``transition``: the state was ``was`` and is ``state``."""


class CircuitBreaker:
    """Watches calls to one service. Belongs to one event loop.

    Args:
        config: when it opens, and for how long.
        is_failure: True for an error that counts against the service, False for one that shows that it works (a
            refusal, say), None for one that says nothing. Default: every error counts.
        clock: seconds, monotonic.
        uniform: a number between two others, for the jitter and the spread.
        observe: sees the changes of state.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        is_failure: Callable[[Exception], bool | None] = lambda _error: True,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        observe: Observer | None = None,
    ) -> None:
        self.config = config or CircuitBreakerConfig()
        self._is_failure, self._clock, self._uniform, self._observe = is_failure, clock, uniform, observe
        self._state = State.CLOSED
        self._era = 0
        """Grows with each change of state, and each time that permits are given out again."""
        self._window = _Window(self.config)
        self._until = 0.0
        self._pause = 0.0
        self._breaks = 0
        self._permits = 0
        self._passed = 0

    @property
    def state(self) -> State:
        """What it does with a call. An open circuit whose break is over stays open until somebody calls."""
        return self._state

    def isolate(self) -> None:
        """Refuse every call, until :meth:`reset`."""
        self._change(State.ISOLATED)

    def reset(self) -> None:
        """Close it, and forget what was counted."""
        self._window = _Window(self.config)
        self._breaks = 0
        self._change(State.CLOSED)

    async def call(self, function: Callable[..., Awaitable[T]], *args: object, **kwargs: object) -> T:
        """Call ``function`` and return what it returns.

        Raises:
            CircuitOpen: the service is left alone; nothing was called.
        """
        era = self._enter()
        started = self._clock()
        try:
            value = await function(*args, **kwargs)
        except asyncio.CancelledError:
            self._give_back(era)
            raise
        except Exception as error:
            failed = self._is_failure(error)
            if failed is None:
                self._give_back(era)
            else:
                self._exit(era, started, failed=failed)
            raise
        except BaseException:
            self._give_back(era)
            raise
        self._exit(era, started, failed=False)
        return value

    def wrap(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Return ``function`` behind this circuit; usable as a decorator."""

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(lambda: function(*args, **kwargs))

        return guarded

    def _enter(self) -> int:
        """Let a call in, and return the era that it belongs to."""
        if self._state is State.CLOSED:
            return self._era
        if self._state is State.ISOLATED:
            raise CircuitOpen(State.ISOLATED, self.config.break_max)
        now = self._clock()
        if self._state is State.OPEN and now < self._until:
            raise CircuitOpen(State.OPEN, self._until - now + self._uniform(0, self.config.spread * self._pause))
        if self._state is State.OPEN:
            self._change(State.HALF_OPEN)
            self._give_out(now)
        elif now >= self._until:
            # Those who hold the permits did not come back. Whatever they still report is of an era that is over.
            self._era += 1
            self._give_out(now)
        if self._permits == 0:
            base = min(self._until - now, self.config.break_base)
            raise CircuitOpen(State.HALF_OPEN, base + self._uniform(0, self.config.spread * self._pause))
        self._permits -= 1
        return self._era

    def _give_out(self, now: float) -> None:
        self._permits, self._passed, self._until = self.config.permits, 0, now + self.config.permit_timeout

    def _give_back(self, era: int) -> None:
        if era == self._era and self._state is State.HALF_OPEN:
            self._permits += 1

    def _exit(self, era: int, started: float, *, failed: bool) -> None:
        """Count the outcome of a call."""
        if era != self._era:
            return
        now = self._clock()
        slow = now - started >= self.config.slow_after
        if self._state is State.HALF_OPEN:
            if failed or slow:
                self._open(now)
                return
            self._passed += 1
            if self._passed == self.config.permits:
                self.reset()
        elif self._window.count(now, failed=failed, slow=slow):
            self._open(now)

    def _open(self, now: float) -> None:
        # 2 ** 30 is past any break; the exponent is bounded so that a circuit may fail to close for years.
        pause = min(self.config.break_base * 2.0 ** min(self._breaks, 30), self.config.break_max)
        self._breaks += 1
        self._pause = pause * self._uniform(1 - self.config.jitter, 1 + self.config.jitter)
        self._until = now + self._pause
        self._window = _Window(self.config)
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        was, self._state = self._state, state
        self._era += 1
        if self._observe is not None and was is not state:
            self._observe("transition", was=was, state=state)


class _Window:
    """Counts of the calls of the last seconds, in a ring of buckets."""

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self._config = config
        self._width = config.window / config.buckets
        self._ring = [(0, 0, 0)] * config.buckets
        self._last: int | None = None
        self._calls = self._failures = self._slow = 0

    def count(self, now: float, *, failed: bool, slow: bool) -> bool:
        """Count a call; True if there is too much of what should not be."""
        bucket = int(now // self._width)
        if bucket != self._last:
            self._forget(bucket)
        size, config = len(self._ring), self._config
        calls, failures, slows = self._ring[bucket % size]
        self._ring[bucket % size] = (calls + 1, failures + failed, slows + slow)
        self._calls += 1
        self._failures += failed
        self._slow += slow
        return self._calls >= config.minimum_throughput and (
            self._failures >= config.failure_ratio * self._calls or self._slow >= config.slow_ratio * self._calls
        )

    def _forget(self, bucket: int) -> None:
        """Empty what is older than the window; all of it, if nothing was counted for so long."""
        size = len(self._ring)
        last = bucket - size if self._last is None else self._last
        for old in range(max(last + 1, bucket - size + 1), bucket + 1):
            calls, failures, slows = self._ring[old % size]
            self._calls -= calls
            self._failures -= failures
            self._slow -= slows
            self._ring[old % size] = (0, 0, 0)
        self._last = bucket

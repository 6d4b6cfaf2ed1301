"""Quarantine: a route that burns its budget is taken out of service, and the rest goes on unharmed.

Threat: one handler that fails always, crawls, or is being exploited takes its share of everything (connections, pool,
log, the attention of whoever is on call) until a person has time to take it out. And the cure's own: a route that is
taken out because a service behind it was away, that never comes back, or that comes back to all its callers at once.

What it does, for one route:

* counts what ended in a window: failures, slow ones, and *strikes*, which others report (what it was kept from). The
  time that a client takes to send its body is not the route's, if ``waited`` says how long that was: else whoever sends
  slowly could have it taken out;
* past a ratio of a minimum of requests, or past so many strikes, refuses all requests with :class:`Quarantined` for
  ``base`` seconds, then lets ``permits`` of them try; if all of these are well it serves again, else it is out for
  twice as long, up to ``longest``. Who has served well for ``forgive`` seconds begins with ``base`` again;
* a person's word goes before: held, it is out until released; released, it serves at once with a clean window;
* bounds how many requests run in it at a time (``concurrency``), so that one route cannot be all that runs.

Defaults: 50 % failures or 80 % slow of at least 20 requests in a minute (resilience4j's ratios; a minute, because a
person is to look at it), 3 strikes; out for 30 s, doubled up to 15 minutes; 3 permits. What neither succeeded nor
failed by its own fault (an upstream that is away, a client that left) is for ``judge`` to say.

What it does not do: share what it counted with other processes, or remember it over a restart. Each process learns by
itself; a person's word is given to all of them by whoever calls :meth:`Budget.hold`.

To lift it: needs ``starlette`` for its types only. ``app = Quarantine(app, Budget())``; ``budget.strike()`` for what
else speaks against it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class State(StrEnum):
    """What becomes of the requests of a route."""

    SERVING = "serving"
    QUARANTINED = "quarantined"
    TRYING = "trying"
    HELD = "held"


_SERVING, _TRYING = State.SERVING, State.TRYING
"""By their own names: before Python 3.12 an attribute of an enumeration is looked up by a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineConfig:
    """When a route is taken out, and for how long.

    Attributes:
        window: seconds over which is counted.
        buckets: pieces of the window; the oldest is dropped whole.
        minimum: requests in a window that a ratio is taken of.
        failure_ratio: of failures, at which it is taken out.
        slow_ratio: of slow requests, likewise.
        slow_after: seconds after which a request is slow.
        strikes: in a window, likewise.
        base: seconds that it is out at first.
        longest: seconds that it is out at most.
        permits: requests that try, before all come back.
        permit_timeout: seconds after which a permit whose request has not ended is given out again.
        forgive: seconds of service after which the next time begins with ``base`` again.
    """

    window: float = 60.0
    buckets: int = 6
    minimum: int = 20
    failure_ratio: float = 0.5
    slow_ratio: float = 0.8
    slow_after: float = 60.0
    strikes: int = 3
    base: float = 30.0
    longest: float = 900.0
    permits: int = 3
    permit_timeout: float = 30.0
    forgive: float = 600.0


class Quarantined(Exception):
    """The route is out of service; nothing was done.

    Attributes:
        reason: what took it out: ``failures``, ``slow``, ``strikes``, or a person (``held``).
        retry_after: seconds after which to try again.
    """

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class RouteBusy(Exception):
    """As many requests run in the route as may; nothing was done.

    Attributes:
        retry_after: seconds after which to try again.
    """

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Budget:
    """What a route may still get wrong. Belongs to one event loop; :meth:`strike` may be called by any thread.

    Args:
        config: when it is taken out, and for how long.
        clock: seconds, monotonic.
        on_change: told of each new state and its reason.

    Raises:
        ValueError: a bound without a meaning.

    Attributes:
        state: of the route.
        reason: of that state; empty while it serves.
        in_flight: requests that run in it.
        generation: of that state; counts changes.
    """

    def __init__(
        self,
        config: QuarantineConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[State, str], None] = lambda _state, _reason: None,
    ) -> None:
        self.config = config or QuarantineConfig()
        if min(self.config.buckets, self.config.minimum, self.config.strikes, self.config.permits) < 1:
            raise ValueError("buckets, minimum, strikes and permits are at least 1")
        self._clock, self._on_change = clock, on_change
        self.state, self.reason, self.in_flight = State.SERVING, "", 0
        self._until = 0.0
        self._out = 0.0
        self._served_since = clock()
        self._permits: list[float] = []
        self._well = 0
        self.generation = 0
        self._counts = [[0, 0, 0, 0] for _ in range(self.config.buckets)]
        self._bucket = -1
        self._piece = self.config.window / self.config.buckets

    def admit(self) -> int:
        """Let a request in, and return the generation that it belongs to.

        Raises:
            Quarantined: the route is out of service.
        """
        if self.state is _SERVING:
            return self.generation
        now = self._clock()
        if self.state is State.HELD:
            raise Quarantined("held", self.config.base)
        if self.state is State.QUARANTINED:
            if now < self._until:
                raise Quarantined(self.reason, self._until - now)
            self._permits, self._well = [], 0
            self._turn(State.TRYING, self.reason)
        self._permits = [given for given in self._permits if now - given < self.config.permit_timeout]
        if len(self._permits) + self._well >= self.config.permits:
            raise Quarantined(self.reason, 1.0)
        self._permits.append(now)
        return self.generation

    def ended(self, generation: int, *, failed: bool | None, seconds: float) -> None:
        """Note how a request ended.

        Args:
            generation: that :meth:`admit` returned; what began before the last change says nothing about now.
            failed: by the route's own fault; None says nothing.
            seconds: that it took.
        """
        if generation != self.generation:
            return
        slow = failed is not None and seconds > self.config.slow_after
        if self.state is _TRYING:
            if self._permits:
                self._permits.pop(0)
            if failed or slow:
                self._take_out("failures" if failed else "slow")
            elif failed is not None:
                self._well += 1
                if self._well >= self.config.permits:
                    self._serve()
            return
        if failed is None:
            return
        counts = self._now()
        counts[0] += 1
        counts[1] += failed
        counts[2] += slow
        if failed or slow:
            self._judge()

    def strike(self) -> None:
        """Note that the route was kept from something that no route should try."""
        self._now()[3] += 1
        if self.state is State.TRYING or (
            self.state is State.SERVING and sum(counts[3] for counts in self._counts) >= self.config.strikes
        ):
            self._take_out("strikes")

    def hold(self) -> None:
        """Take the route out until it is released: a person's word."""
        if self.state is not State.HELD:
            self._turn(State.HELD, "held")

    def release(self) -> None:
        """Serve again, at once and with a clean window: a person's word."""
        if self.state is not State.SERVING:
            self._out = 0.0
            self._serve()

    def _now(self) -> list[int]:
        """Return the counts of this piece of the window: requests, failures, slow ones, strikes."""
        buckets, bucket = self.config.buckets, int(self._clock() / self._piece)
        if bucket != self._bucket:
            for old in range(max(self._bucket + 1, bucket - buckets + 1), bucket + 1):
                self._counts[old % buckets] = [0, 0, 0, 0]
            self._bucket = bucket
        return self._counts[bucket % buckets]

    def _judge(self) -> None:
        requests, failures, slow, _ = map(sum, zip(*self._counts, strict=True))
        if requests < self.config.minimum:
            return
        if failures / requests >= self.config.failure_ratio:
            self._take_out("failures")
        elif slow / requests >= self.config.slow_ratio:
            self._take_out("slow")

    def _take_out(self, reason: str) -> None:
        now = self._clock()
        if self.state is State.SERVING and now - self._served_since >= self.config.forgive:
            self._out = 0.0
        self._out = min(self.config.longest, self._out * 2 if self._out else self.config.base)
        self._until = now + self._out
        self._turn(State.QUARANTINED, reason)

    def _serve(self) -> None:
        self._counts = [[0, 0, 0, 0] for _ in self._counts]
        self._served_since = self._clock()
        self._turn(State.SERVING, "")

    def _turn(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
        self.generation += 1
        self._on_change(state, reason)


def own_fault(status: int, _scope: Scope) -> bool | None:
    """Judge by the status alone: 5xx is the route's fault, but for 503, which says that something else is."""
    return None if status == 503 else status >= 500  # noqa: PLR2004 - RFC 9110, section 15.6


class Quarantine:
    """Holds the application of one route to its budget.

    Args:
        app: the application.
        budget: what it may get wrong.
        concurrency: returns how many requests may run in it at a time.
        judge: tells from status and scope whether a request failed by its own fault; None says nothing.
        status_of: the status that an exception will be answered with, by whoever stands outside.
        observe: told of each request that was let in: status (0 where none was sent) and seconds.
        waited: returns the seconds of a request in which the route waited for its client; they make nothing slow.
        refuse: answers who is turned away; default is a bare problem document.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        app: ASGIApp,
        budget: Budget,
        *,
        concurrency: Callable[[], float] = lambda: math.inf,
        judge: Callable[[int, Scope], bool | None] = own_fault,
        status_of: Callable[[Exception, Scope], int] = lambda _error, _scope: 500,
        observe: Callable[[int, float], None] = lambda _status, _seconds: None,
        waited: Callable[[Scope], float] = lambda _scope: 0.0,
        refuse: Callable[[Scope, Receive, Send, Quarantined | RouteBusy], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.budget = app, budget
        self._concurrency, self._judge, self._observe = concurrency, judge, observe
        self._status_of, self._refuse, self._clock = status_of, refuse or _refuse, clock
        self._waited = waited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or turn the request away."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        budget = self.budget
        if budget.in_flight >= self._concurrency():
            await self._refuse(scope, receive, send, RouteBusy())
            return
        if budget.state is _SERVING:
            generation = budget.generation
        else:
            try:
                generation = budget.admit()
            except Quarantined as error:
                await self._refuse(scope, receive, send, error)
                return
        watch = _Watch(send)
        budget.in_flight += 1
        started = self._clock()
        failed: bool | None = None
        try:
            await self.app(scope, receive, watch.answer)
            failed = self._judge(watch.status, scope)
        except Exception as error:  # a cancellation is none: its client has left
            watch.status = watch.status or self._status_of(error, scope)
            failed = self._judge(watch.status, scope)
            raise
        finally:
            budget.in_flight -= 1
            seconds = self._clock() - started
            slow = seconds > budget.config.slow_after  # hardly any is, and only then it matters whose time it was
            budget.ended(generation, failed=failed, seconds=seconds - self._waited(scope) if slow else seconds)
            self._observe(watch.status, seconds)


class _Watch:
    """Sees the status of one answer pass. Slots and a bound method cost less than a closure and its cells."""

    __slots__ = ("send", "status")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0

    def answer(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return self.send(message)


async def _refuse(_scope: Scope, _receive: Receive, send: Send, error: Quarantined | RouteBusy) -> None:
    code = "route_quarantined" if isinstance(error, Quarantined) else "route_busy"
    body = f'{{"type":"about:blank","title":"Service Unavailable","status":503,"code":"{code}"}}'.encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})

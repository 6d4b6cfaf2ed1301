"""What stands round every call to another service: each layer is a pattern, and their order can be read here.

``LAYERS`` is an argument of :class:`Pipeline`, so that a test can leave one out and see what is lost. What a layer
refuses becomes an :class:`UpstreamError`, so that who calls has one family of errors to think of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.patterns.bulkhead import Bulkhead, BulkheadConfig, BulkheadFull
from app.patterns.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen, State
from app.patterns.containment import trusted
from app.patterns.hedging import Hedging, HedgingConfig
from app.patterns.http_client import Answer, UpstreamBadAnswer, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from app.patterns.retry import Retry, RetryBudget, RetryConfig
from app.patterns.time_limit import TimeLimit, TimeLimitExceeded
from app.upstreams.call import MARGIN, Call, headers_of, is_failure

if TYPE_CHECKING:
    from app.upstreams.declaration import Upstream
    from app.upstreams.telemetry import UpstreamTelemetry

Send = Callable[[Call], Coroutine[Any, Any, Answer]]

EARLIER: Final = 0.005
"""Seconds by which an attempt ends before its call does: else the call's end would cancel it, and the breaker would
not hear of a service that hangs."""

CIRCUIT_OPEN: Final = "circuit_open"
BULKHEAD_FULL: Final = "bulkhead_full"
_OWN: Final = frozenset({CIRCUIT_OPEN, BULKHEAD_FULL})
_TRANSIENT: Final = frozenset({"protocol", "connection_lost"})
_LEVELS: Final = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0, State.ISOLATED: 3.0}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; ``build`` puts it round the next, or returns that where the declaration leaves it nothing to do."""

    name: str
    build: Callable[[Send, Pipeline], Send]


class Pipeline:
    """The way of every call to one service.

    Args:
        upstream: the declaration.
        telemetry: sees every call.
        layers: outermost first.
        clock: seconds, monotonic, for what happens between calls: the circuit, the budget.
        sleep: waits between attempts.

    Attributes:
        breaker: its circuit; ``isolate()`` and ``reset()`` are for people.
        bulkhead: its places.
        budget: its retries.
    """

    def __init__(
        self,
        upstream: Upstream,
        telemetry: UpstreamTelemetry,
        *,
        layers: tuple[Layer, ...],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.upstream, self.telemetry, self.sleep = upstream, telemetry, sleep
        self.budget = RetryBudget(clock=clock)
        self.bulkhead = Bulkhead(
            BulkheadConfig(concurrency=upstream.concurrency, queue=upstream.queue), observe=self._waited
        )
        self.breaker = CircuitBreaker(
            CircuitBreakerConfig(slow_after=upstream.slow),
            is_failure=_says_something,
            clock=clock,
            observe=self._changed,
        )
        send: Send = _transport
        for layer in reversed(layers):
            send = layer.build(send, self)
        self.send = send

    def check(self) -> Mapping[str, object]:
        """Return its state for the readiness report."""
        state = self.breaker.state
        return {"state": "ok" if state is State.CLOSED else "degraded", "circuit": str(state)}

    def circuit_level(self) -> float:
        """Return the state of its circuit as a figure."""
        return _LEVELS[self.breaker.state]

    def retries_left(self) -> float:
        """Return how many retries its budget has."""
        return self.budget.tokens

    def in_flight(self) -> float:
        """Return how many calls have a place."""
        return self.bulkhead.in_flight

    def queued(self) -> float:
        """Return how many calls wait for one."""
        return self.bulkhead.queued

    def _changed(self, event: str, **fields: object) -> None:
        if event == "transition":
            self.telemetry.changed(self.upstream.name, "circuit", **fields)

    def _waited(self, event: str, seconds: float = 0.0, **_fields: object) -> None:
        if event == "queued":
            self.telemetry.waited(self.upstream.name, seconds)


async def _transport(call: Call) -> Answer:
    with trusted():  # where it leads is declared, and was looked at
        return await call.transport(call.headers)


def _seen(send: Send, pipeline: Pipeline) -> Send:
    name, telemetry = pipeline.upstream.name, pipeline.telemetry

    async def seen(call: Call) -> Answer:
        try:
            return await telemetry.call(name, call, send)
        except UpstreamError as error:
            error.upstream = name
            # The last attempt may not have been sent, and an earlier one may have arrived.
            error.sent = call.sent
            raise

    return seen


def _total_timeout(send: Send, pipeline: Pipeline) -> Send:
    limit = TimeLimit(pipeline.upstream.timeout)

    async def total_timeout(call: Call) -> Answer:
        left = call.context.remaining()
        seconds = limit.seconds if left is None else min(limit.seconds, left - MARGIN)
        call.deadline = asyncio.get_running_loop().time() + seconds
        try:
            return await limit.call(send, call, remaining=call.left)
        except TimeLimitExceeded:
            raise UpstreamTimeout("timeout") from None

    return total_timeout


def _retry(send: Send, pipeline: Pipeline) -> Send:
    if pipeline.upstream.attempts == 1:
        return send
    retry = Retry(
        RetryConfig(attempts=pipeline.upstream.attempts),
        budget=pipeline.budget,
        sleep=pipeline.sleep,
        retryable=_may_pass,
        not_sent=_was_not_sent,
        never=_is_our_own,
    )

    async def retried(call: Call) -> Answer:
        return await retry.call(send, call, safe=call.repeatable, remaining=call.left)

    return retried


def _hedging(send: Send, pipeline: Pipeline) -> Send:
    after = pipeline.upstream.hedge_after
    if after is None:
        return send
    hedging = Hedging(HedgingConfig(delay=after), pay=pipeline.budget.withdraw)

    async def hedged(call: Call) -> Answer:
        return await (hedging.call(send, call) if call.method == "GET" else send(call))

    return hedged


def _circuit_breaker(send: Send, pipeline: Pipeline) -> Send:
    if not pipeline.upstream.breaker:
        return send
    breaker = pipeline.breaker

    async def circuit_breaker(call: Call) -> Answer:
        try:
            return await breaker.call(send, call)
        except CircuitOpen as error:
            raise UpstreamUnavailable(CIRCUIT_OPEN, sent=False, retry_after=error.retry_after) from None

    return circuit_breaker


def _bulkhead(send: Send, pipeline: Pipeline) -> Send:
    bulkhead = pipeline.bulkhead

    async def admitted(call: Call) -> Answer:
        try:
            return await bulkhead.call(send, call, remaining=call.left)
        except BulkheadFull as error:
            raise UpstreamUnavailable(BULKHEAD_FULL, sent=False, retry_after=error.retry_after) from None

    return admitted


def _attempt_timeout(send: Send, pipeline: Pipeline) -> Send:
    limit, patience = TimeLimit(pipeline.upstream.attempt_timeout), pipeline.upstream.patience

    async def attempt_timeout(call: Call) -> Answer:
        left = _earlier(call)
        # Judged by what it was given: on a busy loop it took longer, of which the service knows nothing.
        reason = "attempt_timeout" if left is None or min(limit.seconds, left) >= patience else "hurry"
        try:
            return await limit.call(send, call, remaining=lambda: left)
        except TimeLimitExceeded:
            raise UpstreamTimeout(reason) from None
        except asyncio.CancelledError:
            # On a busy loop the end of the attempt and that of the call come in the same turn, and the call's wins. It
            # is a timeout all the same, of which the circuit has to hear; who was cancelled otherwise, was.
            task = asyncio.current_task()
            if task is None or task.cancelling() != 1 or (_earlier(call) or 0.0) > -EARLIER:
                raise
            raise UpstreamTimeout(reason) from None

    return attempt_timeout


def _attempt(send: Send, pipeline: Pipeline) -> Send:
    upstream, telemetry = pipeline.upstream, pipeline.telemetry

    async def with_context(call: Call) -> Answer:
        call.headers = headers_of(call) if upstream.propagate else {}
        if call.key is not None:
            call.headers["idempotency-key"] = call.key
        return await send(call)

    async def attempt(call: Call) -> Answer:
        call.attempts += 1
        try:
            answer = await telemetry.attempt(upstream.name, call, with_context)
        except UpstreamError as error:
            call.sent = call.sent or error.sent
            raise
        except asyncio.CancelledError:
            call.sent = True
            raise
        call.sent = True
        return answer

    return attempt


LAYERS: Final = (
    Layer("seen", _seen),
    Layer("total_timeout", _total_timeout),  # what is left of the request's deadline, whatever happens inside
    Layer("retry", _retry),
    Layer("hedging", _hedging),
    Layer("circuit_breaker", _circuit_breaker),  # inside of the retries: each attempt counts, and is stopped
    Layer("bulkhead", _bulkhead),
    Layer("attempt_timeout", _attempt_timeout),  # inside of the queue: a wait for a place is no fault of the service
    Layer("attempt", _attempt),  # its span is what the other side sees as its parent
)
"""What every call passes, outermost first."""


def _earlier(call: Call) -> float | None:
    left = call.left()
    return None if left is None else left - EARLIER


def _says_something(error: BaseException) -> bool | None:
    """Tell whether an error is the service's own fault; None for ours and a caller's hurry, which say nothing of it."""
    return None if getattr(error, "reason", "") in {BULKHEAD_FULL, "hurry"} else is_failure(error)


def _may_pass(error: BaseException) -> bool:
    """Tell whether another attempt may fare better: what is no answer will be none again, unless it was cut short."""
    return is_failure(error) and (not isinstance(error, UpstreamBadAnswer) or error.reason in _TRANSIENT)


def _was_not_sent(error: BaseException) -> bool:
    return isinstance(error, UpstreamError) and not error.sent


def _is_our_own(error: BaseException) -> bool:
    return isinstance(error, UpstreamError) and error.reason in _OWN

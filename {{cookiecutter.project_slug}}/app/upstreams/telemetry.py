"""What is seen of calls to other services: a span for each call and each attempt, durations, states, changes of state.

A span is made only where the request itself is recorded, so that an unsampled one pays for none. A failure is counted
and not logged: a service that is away would write a line for each call. What is logged is that its circuit opens, and
that it closes.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_STATUS_CODE,
)
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from opentelemetry.trace import SpanKind, StatusCode

from app.patterns.duration_histogram import DurationHistogram
from app.patterns.http_client import UpstreamError
from app.patterns.metrics import observe_states

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

    from app.patterns.http_client import Answer
    from app.upstreams.call import Call

    Send = Callable[[Call], Awaitable[Answer]]

UPSTREAM: Final = "breakwater.upstream"
"""Attribute: the name that a service is declared by."""

OK: Final = "ok"
CANCELLED: Final = "cancelled"


class UpstreamTelemetry:
    """Sees every call of this process.

    Args:
        tracer: of the service.
        meter: of the service.
        add_producer: takes what returns metrics that were counted here.
        log: takes an event and its fields.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        add_producer: Callable[[Callable[[], Any]], None],
        log: Callable[..., None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracer, self._meter, self._log, self.clock = tracer, meter, log, clock
        self._calls = DurationHistogram(
            "breakwater.upstream.call.duration",
            "Duration of calls to other services, with all their attempts.",
            labels=(UPSTREAM, "outcome"),
        )
        self._attempts = DurationHistogram(
            HTTP_CLIENT_REQUEST_DURATION,
            "Duration of HTTP client requests.",
            labels=(UPSTREAM, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, ERROR_TYPE),
        )
        self._queues = DurationHistogram(
            "breakwater.upstream.queue.duration",
            "How long calls waited for a place in their bulkhead, those that found one free left out.",
            labels=(UPSTREAM,),
        )
        for histogram in (self._calls, self._attempts, self._queues):
            add_producer(histogram.produce)

    def observe(
        self, name: str, description: str, read: Callable[[], Mapping[str, float]], unit: str = "{state}"
    ) -> None:
        """Export a figure of each upstream, read when it is collected."""
        observe_states(self._meter, name, label=UPSTREAM, read=read, unit=unit, description=description)

    def changed(self, upstream: str, what: str, **fields: object) -> None:
        """Log a change of state."""
        self._log(what, upstream=upstream, **fields)

    def waited(self, upstream: str, seconds: float) -> None:
        """Count a wait for a place."""
        self._queues.record((upstream,), seconds)

    async def call(self, upstream: str, call: Call, send: Send) -> Answer:
        """See one call, from here to its answer."""
        started, outcome = self.clock(), CANCELLED
        try:
            with self._span(f"{upstream} {call.method} {call.template}".rstrip(), SpanKind.INTERNAL, upstream) as span:
                try:
                    answer = await send(call)
                except Exception as error:
                    outcome = _reason(error)
                    _failed(span, outcome)
                    raise
            outcome = OK
            return answer
        finally:
            self._calls.record((upstream, outcome), self.clock() - started)

    async def attempt(self, upstream: str, call: Call, send: Send) -> Answer:
        """See one attempt: one HTTP request."""
        started = self.clock()
        status: int | None = None
        failure: str | None = CANCELLED
        try:
            with self._span(f"{call.method} {call.template}".rstrip(), SpanKind.CLIENT, upstream) as span:
                try:
                    answer = await send(call)
                except Exception as error:
                    status, failure = getattr(error, "status", None), _reason(error)
                    _failed(span, failure)
                    raise
                else:
                    status, failure = answer.status, None
                    return answer
                finally:
                    if span is not None:
                        _describe(span, call, status)
        finally:
            self._attempts.record((upstream, call.method, status, failure), self.clock() - started)

    @contextlib.contextmanager
    def _span(self, name: str, kind: SpanKind, upstream: str) -> Iterator[Span | None]:
        if not trace.get_current_span().is_recording():
            yield None
            return
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes={UPSTREAM: upstream}, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, UpstreamError) else type(error).__name__


def _failed(span: Span | None, reason: str) -> None:
    """Mark a span; with the reason's stable word, and nothing that the other side has said."""
    if span is not None:
        span.set_attribute(ERROR_TYPE, reason)
        span.set_status(StatusCode.ERROR)


def _describe(span: Span, call: Call, status: int | None) -> None:
    span.set_attribute(HTTP_REQUEST_METHOD, call.method)
    if call.attempts > 1:
        span.set_attribute(HTTP_REQUEST_RESEND_COUNT, call.attempts - 1)
    if status is not None:
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)

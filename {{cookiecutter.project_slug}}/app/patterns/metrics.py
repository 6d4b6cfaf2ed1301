"""Metrics: rate, errors and duration of every route, for the price of a few additions.

Threat: nobody sees that a route fails or slows down until a customer says so; or the measuring itself is the
load, because each request pays for an SDK that aggregates, or each distinct path becomes a time series.

Defaults: OpenTelemetry's stable ``http.server.request.duration`` in seconds, with the bucket bounds that its
semantic conventions ask for, by method, route template, status and error type; and ``http.server.active_requests``.
The SDK's ``Histogram.record`` takes 12 us a call, so requests are counted in plain lists (1 us), and what has been
counted is handed over whole when it is collected, as the specification's ``MetricProducer`` does for figures that
somebody else aggregated. It is always a cumulative histogram. Series are capped at 2000 (the SDK's own limit); what
exceeds that is counted in one series marked ``otel.metric.overflow``. Nothing that a client can choose freely is a
label: an unknown method is ``_OTHER``, a path that no route matches is ``unmatched``.

Beside it stand the two instruments that guards need: :class:`EventCounter` (refusals by code, say) and
:func:`observe_states` (what is degraded at this moment). Both are read when collected, by any reader of the meter.

What it does not do: export anything; record exemplars; count websockets. One :class:`RequestMetrics` belongs to one
event loop: two loops in one process want two.

To lift it: needs ``opentelemetry-sdk``, and ``starlette`` for its types. ``metrics = RequestMetrics(app)``, and
hand ``metrics.produce`` to whatever exports: it returns SDK ``Metric`` objects for a ``ScopeMetrics``.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
"""The methods that the semantic conventions know; a client's own inventions are counted as ``_OTHER``."""

ACTIVE_REQUESTS = "http.server.active_requests"
OVERFLOW = "otel.metric.overflow"
"""Attribute of the series that takes what the cap shuts out (OpenTelemetry metrics SDK, cardinality limits)."""

_SERVER_ERROR = 500
_OVERFLOWN: Mapping[str, AttributeValue] = {OVERFLOW: True}

_Key = tuple[str, str, str | None, int, str | None]
"""Method, scheme, route template, status (0 when none was sent) and error type of a series."""


@dataclass(frozen=True)
class RequestMetricsConfig:
    """What a series looks like, and how many there may be.

    Attributes:
        bounds: upper bounds of the buckets in seconds, inclusive (semantic conventions for HTTP metrics, 1.44).
        max_series: label sets counted apart, as many as the SDK allows; 100 routes with 10 statuses make 1000.
        unmatched: the ``http.route`` of requests that no route matched.
    """

    bounds: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    max_series: int = 2000
    unmatched: str = "unmatched"


def route_template(scope: Scope) -> str | None:
    """Return the path template of the route that matched, as Starlette and FastAPI leave it, or None."""
    template: str | None = getattr(scope.get("route"), "path_format", None)
    return template


class RequestMetrics:
    """Measures every request, from here to the end of its response.

    Args:
        app: the ASGI application to measure.
        config: buckets and caps.
        route: names the route that matched, once the router ran; None when nothing matched.
        clock: seconds, monotonic.
        now: nanoseconds since the epoch, for the time stamps of what is exported.

    Raises:
        ValueError: the bounds are not in ascending order, or there is no room for a series.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: RequestMetricsConfig | None = None,
        route: Callable[[Scope], str | None] = route_template,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.app = app
        self.config = config or RequestMetricsConfig()
        self._bounds = self.config.bounds
        if not self._bounds or list(self._bounds) != sorted(set(self._bounds)):
            raise ValueError(f"bounds must ascend, not {self._bounds!r}")
        if self.config.max_series < 1:
            raise ValueError(f"max_series must be at least 1, not {self.config.max_series!r}")
        self._route, self._clock, self._now = route, clock, now
        self._since = now()
        # Behind the buckets of a series stand its sum, minimum and maximum: one list, so that the exporter's
        # thread gets them together, by one copy that no other thread can interrupt.
        self._sum = len(self._bounds) + 1
        self._series: dict[_Key, list[float]] = {}
        self._overflow: list[float] | None = None
        self._active: dict[tuple[str, str], int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure one request; what is not HTTP passes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method not in METHODS:
            method = "_OTHER"
        scheme = "https" if scope.get("scheme") == "https" else "http"
        served, active = (method, scheme), self._active
        active[served] = active.get(served, 0) + 1
        watch = _Watch(send)
        started = self._clock()
        error: str | None = None
        try:
            await self.app(scope, receive, watch.answer)
        except BaseException as failure:
            error = type(failure).__qualname__
            raise
        finally:
            elapsed = self._clock() - started
            active[served] -= 1
            status = watch.status
            if error is None and not 0 < status < _SERVER_ERROR:
                error = str(scope.get("state", {}).get("code") or status or "no_response")
            self._count((method, scheme, self._route(scope), status, error), elapsed)

    def _count(self, key: _Key, elapsed: float) -> None:
        series = self._series.get(key)
        if series is None:
            series = self._new_series(key)
        at = self._sum
        series[at] += elapsed
        if elapsed < series[at + 1]:  # noqa: PLR1730 - a comparison costs a quarter of min()
            series[at + 1] = elapsed
        if elapsed > series[at + 2]:  # noqa: PLR1730 - nor max()
            series[at + 2] = elapsed
        # Last: whoever copies the list in between sees one request too few and nothing that is not so.
        series[bisect_left(self._bounds, elapsed)] += 1

    def _new_series(self, key: _Key) -> list[float]:
        if self._overflow is not None:
            return self._overflow
        series = [0] * self._sum + [0.0, float("inf"), float("-inf")]
        if len(self._series) < self.config.max_series:
            self._series[key] = series
        else:
            self._overflow = series
        return series

    def produce(self) -> Sequence[Metric]:
        """Return what has been counted since the start, as cumulative SDK metrics. Safe from any thread."""
        now = self._now()
        series = [(self._attributes(key), cells) for key, cells in self._series.copy().items()]
        if self._overflow is not None:
            series.append((_OVERFLOWN, self._overflow))
        points = [self._point(attributes, cells.copy(), now) for attributes, cells in series]
        # One without a count is being made at this moment.
        points = [point for point in points if point.count]
        active = [
            NumberDataPoint({HTTP_REQUEST_METHOD: method, URL_SCHEME: scheme}, self._since, now, value)
            for (method, scheme), value in self._active.copy().items()
        ]
        cumulative = AggregationTemporality.CUMULATIVE
        return [
            Metric(
                HTTP_SERVER_REQUEST_DURATION, "Duration of HTTP server requests.", "s", Histogram(points, cumulative)
            ),
            Metric(
                ACTIVE_REQUESTS,
                "Number of active HTTP server requests.",
                "{request}",
                Sum(active, cumulative, is_monotonic=False),
            ),
        ]

    def _attributes(self, key: _Key) -> Mapping[str, AttributeValue]:
        method, scheme, route, status, error = key
        attributes: dict[str, AttributeValue] = {
            HTTP_REQUEST_METHOD: method,
            URL_SCHEME: scheme,
            HTTP_ROUTE: self.config.unmatched if route is None else route,
        }
        if status:
            attributes[HTTP_RESPONSE_STATUS_CODE] = status
        if error is not None:
            attributes[ERROR_TYPE] = error
        return attributes

    def _point(self, attributes: Mapping[str, AttributeValue], cells: list[float], now: int) -> HistogramDataPoint:
        *buckets, total, least, most = cells
        counts = [int(count) for count in buckets]
        return HistogramDataPoint(attributes, self._since, now, sum(counts), total, counts, self._bounds, least, most)


class _Watch:
    """Sees the status of one response pass. Slots and a bound method cost less than a closure and its cells."""

    __slots__ = ("send", "status")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0

    def answer(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return self.send(message)


class EventCounter:
    """Counts events by one label, in 0.2 us instead of the SDK's 16, and is read when collected.

    ``EventCounter(meter, "breakwater.refusals", label="code").add("rate_limited")``. Safe among threads.

    Args:
        meter: where it is registered; any meter, a no-op one too.
        name: name of the metric.
        label: name of its one attribute.
        unit: what is counted, in braces (UCUM annotation).
        description: one sentence for dashboards.
        max_values: values of the label counted apart; more of them are counted together.
        known: values that are exported as 0 before the first event: an increase is only seen from a figure before it.
    """

    def __init__(
        self,
        meter: Meter,
        name: str,
        *,
        label: str,
        unit: str = "{event}",
        description: str = "",
        max_values: int = 200,
        known: Iterable[str] = (),
    ) -> None:
        self._label, self._max_values = label, max_values
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(known, 0)
        self._overflow = 0
        meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, value: str, amount: int = 1) -> None:
        """Count ``amount`` events of the kind ``value``; ``value`` must come from the code, never from a client."""
        with self._lock:
            count = self._counts.get(value)
            if count is not None:
                self._counts[value] = count + amount
            elif len(self._counts) < self._max_values:
                self._counts[value] = amount
            else:
                self._overflow += amount

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            counts, overflow = self._counts.copy(), self._overflow
        for value, count in counts.items():
            yield Observation(count, {self._label: value})
        if overflow:
            yield Observation(overflow, _OVERFLOWN)


def observe_states(
    meter: Meter,
    name: str,
    *,
    label: str,
    read: Callable[[], Mapping[str, float]],
    unit: str = "{state}",
    description: str = "",
) -> None:
    """Register a gauge that reads its values when collected.

    ``observe_states(meter, "breakwater.degraded", label="component", read=lambda: {"redis": float(down)})``.

    Args:
        meter: where it is registered; any meter, a no-op one too.
        name: name of the metric.
        label: name of its one attribute.
        read: returns the value of each state, from the exporter's thread: it must not block.
        unit: UCUM unit; with 1 a name that is derived from it would call the figure a ratio.
        description: one sentence for dashboards.
    """

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, {label: state}) for state, value in read().items()]

    meter.create_observable_gauge(name, [observe], unit, description)

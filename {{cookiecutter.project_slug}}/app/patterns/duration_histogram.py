"""Duration histogram: how long something took, by a few labels, for the price of a few additions.

Threat: the measuring of a call is dearer than what guards it (the SDK's ``Histogram.record`` takes 12 us), so it is
left out; or a label that holds an id makes a time series of each call, until the collector gives up.

What it does: durations are counted in plain lists (0.5 us), and handed over whole when they are collected, as
OpenTelemetry's ``MetricProducer`` does for figures that somebody else aggregated. It is always a cumulative histogram
in seconds. Series are capped; what exceeds the cap is counted in one series marked ``otel.metric.overflow``.

Defaults: the bounds that the semantic conventions have for HTTP durations; 500 series (20 services, with ten outcomes
each, make 200).

What it does not do: export anything; record exemplars. It belongs to one event loop, though any thread may collect.

To lift it: needs ``opentelemetry-sdk``. ``calls = DurationHistogram("calls", "Calls.", labels=("service",))``,
``calls.record(("payments",), 0.012)``, and hand ``calls.produce`` to whatever exports.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.util.types import AttributeValue

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets in seconds, inclusive (semantic conventions for HTTP metrics, 1.44)."""

OVERFLOW: Final = "otel.metric.overflow"
"""Attribute of the series that takes what the cap shuts out (OpenTelemetry metrics SDK, cardinality limits)."""

Labels = tuple["AttributeValue | None", ...]
"""Values in the order of the labels' names; None leaves the attribute out."""


class DurationHistogram:
    """Counts durations by labels.

    Args:
        name: of the metric.
        description: one sentence for dashboards.
        labels: names of the attributes. Their values must come from the code, never from a client.
        bounds: upper bounds of the buckets in seconds, inclusive.
        max_series: combinations of values that are counted apart.
        now: nanoseconds since the epoch, for the time stamps of what is exported.

    Raises:
        ValueError: the bounds do not ascend, or there is no room for a series.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        labels: tuple[str, ...],
        bounds: tuple[float, ...] = BOUNDS,
        max_series: int = 500,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"bounds must ascend, not {bounds!r}")
        if max_series < 1:
            raise ValueError(f"max_series must be at least 1, not {max_series!r}")
        self.name, self.description = name, description
        self._labels, self._bounds, self._max_series, self._now = labels, bounds, max_series, now
        self._since = now()
        # Behind the buckets of a series stand its sum, minimum and maximum: one list, so that the exporter's thread
        # gets them together, by one copy that no other thread can interrupt.
        self._sum = len(bounds) + 1
        self._series: dict[Labels, list[float]] = {}
        self._overflow: list[float] | None = None

    def record(self, labels: Labels, seconds: float) -> None:
        """Count one duration.

        Raises:
            ValueError: these are not as many values as there are labels; nothing is counted.
        """
        series = self._series.get(labels) or self._new_series(labels)
        at = self._sum
        series[at] += seconds
        series[at + 1] = min(series[at + 1], seconds)
        series[at + 2] = max(series[at + 2], seconds)
        # Last: whoever copies the list in between sees one too few and nothing that is not so.
        series[bisect_left(self._bounds, seconds)] += 1

    def produce(self) -> Sequence[Metric]:
        """Return what has been counted since the start, as one cumulative SDK metric. Safe from any thread."""
        now = self._now()
        series: list[tuple[Mapping[str, AttributeValue], list[float]]] = [
            (self._attributes(labels), cells.copy()) for labels, cells in self._series.copy().items()
        ]
        if self._overflow is not None:
            series.append(({OVERFLOW: True}, self._overflow.copy()))
        points = [self._point(attributes, cells, now) for attributes, cells in series]
        # One without a count is being made at this moment.
        data = Histogram([point for point in points if point.count], AggregationTemporality.CUMULATIVE)
        return [Metric(self.name, self.description, "s", data)]

    def _new_series(self, labels: Labels) -> list[float]:
        if len(labels) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not {labels!r}")
        if len(self._series) < self._max_series:
            return self._series.setdefault(labels, self._empty())
        if self._overflow is None:
            self._overflow = self._empty()
        return self._overflow

    def _empty(self) -> list[float]:
        return [0.0] * (self._sum + 1) + [float("inf"), float("-inf")]

    def _attributes(self, labels: Labels) -> dict[str, AttributeValue]:
        return {name: value for name, value in zip(self._labels, labels, strict=True) if value is not None}

    def _point(self, attributes: Mapping[str, AttributeValue], cells: list[float], now: int) -> HistogramDataPoint:
        *buckets, total, least, most = cells
        counts = [int(count) for count in buckets]
        return HistogramDataPoint(attributes, self._since, now, sum(counts), total, counts, self._bounds, least, most)

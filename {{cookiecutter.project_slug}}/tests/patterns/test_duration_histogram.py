"""Durations are counted by a few labels, exactly and within a cap."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint

from app.patterns.duration_histogram import BOUNDS, OVERFLOW, DurationHistogram


def histogram(**options: Any) -> DurationHistogram:
    return DurationHistogram("calls", "Calls.", labels=("service", "outcome"), **options)


def points(counted: DurationHistogram) -> dict[tuple[Any, ...], HistogramDataPoint]:
    (metric,) = counted.produce()
    assert isinstance(metric.data, Histogram)
    return {tuple(sorted((point.attributes or {}).items())): point for point in metric.data.data_points}


def test_nothing_counted_is_an_empty_metric_in_seconds() -> None:
    (metric,) = histogram().produce()
    assert (metric.name, metric.unit, list(metric.data.data_points)) == ("calls", "s", [])


def test_values_that_are_not_those_of_the_labels_are_refused_and_spoil_nothing() -> None:
    calls = histogram()
    with pytest.raises(ValueError, match="has the labels"):
        calls.record(("payments",), 0.02)
    assert points(calls) == {}


def test_durations_are_counted_by_their_labels() -> None:
    calls = histogram(now=lambda: 7)
    calls.record(("payments", "ok"), 0.02)
    calls.record(("payments", "ok"), 0.5)
    calls.record(("payments", None), 1.0)
    found = points(calls)
    assert found.keys() == {(("outcome", "ok"), ("service", "payments")), (("service", "payments"),)}
    point = found[("outcome", "ok"), ("service", "payments")]
    assert (point.count, point.sum, point.min, point.max) == (2, 0.52, 0.02, 0.5)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (7, 7)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_each_duration_is_in_the_bucket_that_it_belongs_to(durations: list[float]) -> None:
    calls = histogram()
    for seconds in durations:
        calls.record(("a", "b"), seconds)
    (point,) = points(calls).values()
    limits = [-1.0, *BOUNDS, float("inf")]
    expected = [sum(low < seconds <= high for seconds in durations) for low, high in pairwise(limits)]
    assert list(point.bucket_counts) == expected
    assert point.count == len(durations)


def test_series_past_the_cap_are_counted_together() -> None:
    calls = histogram(max_series=2)
    for name in ("a", "b", "c", "d", "a"):
        calls.record((name, "ok"), 0.1)
    found = points(calls)
    assert len(found) == 3
    assert found[(OVERFLOW, True),].count == 2
    assert found[("outcome", "ok"), ("service", "a")].count == 2


def test_collecting_beside_the_counting_sees_no_torn_series() -> None:
    calls, stop = histogram(), threading.Event()

    def count() -> None:
        while not stop.is_set():
            calls.record(("a", "b"), 1.0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(2000):
            for point in points(calls).values():
                assert 0 <= point.sum - point.count <= 1.0
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("bounds", [(), (1.0, 0.5), (1.0, 1.0)])
def test_bounds_that_do_not_ascend_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        histogram(bounds=bounds)


def test_a_cap_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_series"):
        histogram(max_series=0)

"""Every request is measured once, and what is measured arrives as a histogram."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import NoOpMeter
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from app.patterns.metrics import EventCounter, RequestMetrics, RequestMetricsConfig, observe_states
from tests.support.live import serve
from tests.support.otlp_receiver import OtlpReceiver, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
"""What the semantic conventions ask of this histogram."""


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        return {"order": order_id}

    @app.post("/orders/{order_id}")
    async def taken(order_id: str) -> None:
        raise HTTPException(409, order_id)

    @app.get("/answers-503")
    async def answers(request: Request) -> JSONResponse:
        request.scope["state"]["code"] = "circuit_open"
        return JSONResponse({}, 503)

    @app.get("/answers-500")
    async def fails() -> JSONResponse:
        return JSONResponse({}, 500)

    @app.get("/raises")
    async def raises() -> None:
        raise LookupError("no such thing")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b", b"c"]))

    return app


def exported(metrics: RequestMetrics) -> dict[str, Metric]:
    """Send what ``metrics`` has counted to a collector, and return what arrived."""
    scope = ScopeMetrics(InstrumentationScope("test"), metrics.produce(), "")
    with OtlpReceiver() as receiver:
        exporter = OTLPMetricExporter(f"{receiver.endpoint}/v1/metrics")
        exporter.export(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
        exporter.shutdown()
        return receiver.metrics()


def measured(app: ASGIApp, talk: Callable[[httpx2.Client], object], **options: Any) -> RequestMetrics:
    """Serve ``app`` measured, let ``talk`` call it, and return the finished figures."""
    metrics = RequestMetrics(app, **options)
    with serve(metrics) as url, httpx2.Client(base_url=url) as client:
        talk(client)
    return metrics


def labels(**others: object) -> dict[str, object]:
    names = {"route": "http.route", "status": "http.response.status_code", "error": "error.type"}
    return {"http.request.method": "GET", "url.scheme": "http"} | {
        names.get(name, f"http.request.{name}"): value for name, value in others.items()
    }


def test_requests_arrive_as_a_cumulative_histogram_by_route_and_status() -> None:
    def talk(client: httpx2.Client) -> None:
        for number in range(3):
            client.get(f"/orders/{number}?token=secret")
        for number in range(2):
            client.post(f"/orders/{number}")

    metric = exported(measured(application(), talk))[DURATION]

    assert metric.unit == "s"
    assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert [(plain(point.attributes), point.count) for point in metric.histogram.data_points] == [
        (labels(route="/orders/{order_id}", status=200), 3),
        (labels(route="/orders/{order_id}", status=409, method="POST"), 2),
    ]
    for point in metric.histogram.data_points:
        assert list(point.explicit_bounds) == BOUNDS
        assert len(point.bucket_counts) == len(BOUNDS) + 1
        assert sum(point.bucket_counts) == point.count
        assert 0 < point.min <= point.sum / point.count <= point.max < 5


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/answers-503", labels(route="/answers-503", status=503, error="circuit_open")),
        ("/answers-500", labels(route="/answers-500", status=500, error="500")),
        ("/raises", labels(route="/raises", status=500, error="LookupError")),
        ("/nowhere/wp-admin.php", labels(route="unmatched", status=404)),
        ("/stream", labels(route="/stream", status=200)),
    ],
)
def test_a_request_is_labelled_by_how_it_ended(path: str, expected: Mapping[str, object]) -> None:
    metrics = exported(measured(application(), lambda client: client.get(path)))

    (point,) = metrics[DURATION].histogram.data_points
    assert (plain(point.attributes), point.count) == (expected, 1)


def test_methods_of_the_clients_invention_make_one_series() -> None:
    def talk(client: httpx2.Client) -> None:
        for method in ("PROPFIND", "MKCOL", "LOCK"):
            client.request(method, "/nowhere")

    (point,) = exported(measured(application(), talk))[DURATION].histogram.data_points

    assert (plain(point.attributes)["http.request.method"], point.count) == ("_OTHER", 3)


def test_requests_under_way_are_active_until_their_last_byte() -> None:
    under_way = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        under_way.append(active(metrics))
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        under_way.append(active(metrics))
        await send({"type": "http.response.body", "body": b"last"})

    metrics = RequestMetrics(app)
    with serve(metrics) as url:
        assert httpx2.get(url).text == "firstlast"

    assert under_way == [{"GET": 1}, {"GET": 1}]
    metric = exported(metrics)[ACTIVE]
    assert not metric.sum.is_monotonic
    assert [(plain(point.attributes), point.as_int) for point in metric.sum.data_points] == [(labels(), 0)]


# What needs no socket: exact times, caps, and the edges of the ASGI interface.


def active(metrics: RequestMetrics) -> dict[str, float]:
    _, metric = metrics.produce()
    assert metric.name == ACTIVE
    found = {}
    for point in metric.data.data_points:
        assert isinstance(point, NumberDataPoint)
        found[str((point.attributes or {})["http.request.method"])] = point.value
    return found


def points(metrics: RequestMetrics) -> list[HistogramDataPoint]:
    metric, _ = metrics.produce()
    assert metric.name == DURATION
    return [point for point in metric.data.data_points if isinstance(point, HistogramDataPoint)]


async def call(metrics: RequestMetrics, **scope: Any) -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        pass

    await metrics({"type": "http", "method": "GET", "scheme": "http", "headers": [], **scope}, receive, send)


async def empty(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


class Lasting:
    """A clock on which each request lasts exactly ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.times = iter([0.0, seconds])

    def __call__(self) -> float:
        return next(self.times)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.005, 0), (0.005001, 1), (0.01, 1), (7.5, 12), (10.0, 13), (10.001, 14), (3600.0, 14)],
)
async def test_a_bound_belongs_to_the_bucket_that_it_ends(seconds: float, bucket: int) -> None:
    metrics = RequestMetrics(empty, clock=Lasting(seconds))

    await call(metrics)

    (point,) = points(metrics)
    assert list(point.bucket_counts) == [int(index == bucket) for index in range(15)]
    assert (point.count, point.sum, point.min, point.max) == (1, seconds, seconds, seconds)


async def test_figures_add_up_from_one_collection_to_the_next() -> None:
    times = iter([100, 200, 300])
    metrics = RequestMetrics(empty, now=lambda: next(times))

    await call(metrics)
    (first,) = points(metrics)
    await call(metrics)
    await call(metrics)
    (second,) = points(metrics)

    assert (first.count, first.start_time_unix_nano, first.time_unix_nano) == (1, 100, 200)
    assert (second.count, second.start_time_unix_nano, second.time_unix_nano) == (3, 100, 300)
    assert second.sum > first.sum


async def test_series_beyond_the_cap_are_counted_together() -> None:
    metrics = RequestMetrics(empty, route=lambda scope: scope["path"], config=RequestMetricsConfig(max_series=2))

    for path in ("/a", "/b", "/c", "/d", "/a", "/c"):
        await call(metrics, path=path)

    assert [((point.attributes or {}).get("http.route"), point.count) for point in points(metrics)] == [
        ("/a", 2),
        ("/b", 1),
        (None, 3),
    ]
    assert points(metrics)[-1].attributes == {"otel.metric.overflow": True}


@pytest.mark.parametrize(("scheme", "label"), [("https", "https"), ("http", "http"), ("x" * 5000, "http")])
async def test_the_scheme_is_one_of_two(scheme: str, label: str) -> None:
    metrics = RequestMetrics(empty)

    await call(metrics, scheme=scheme)

    assert [(point.attributes or {})["url.scheme"] for point in points(metrics)] == [label]


async def test_a_request_without_an_answer_has_failed() -> None:
    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
        pass

    metrics = RequestMetrics(silent)
    await call(metrics)

    assert [point.attributes for point in points(metrics)] == [labels(route="unmatched", error="no_response")]


@pytest.mark.parametrize(("status", "error"), [(499, None), (500, "500")])
async def test_an_error_begins_at_500(status: int, error: str | None) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status})

    metrics = RequestMetrics(app)
    await call(metrics)

    assert [(point.attributes or {}).get("error.type") for point in points(metrics)] == [error]


async def test_a_cancelled_request_is_counted_once_and_no_longer_active() -> None:
    reached = asyncio.Event()

    async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
        reached.set()
        await asyncio.Event().wait()

    metrics = RequestMetrics(waits)
    task = asyncio.create_task(call(metrics))
    await asyncio.wait_for(reached.wait(), timeout=10)
    assert active(metrics) == {"GET": 1}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert active(metrics) == {"GET": 0}
    assert [(point.attributes, point.count) for point in points(metrics)] == [
        (labels(route="unmatched", error="CancelledError"), 1)
    ]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_not_http_passes_unmeasured(kind: str) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    metrics = RequestMetrics(app)
    await call(metrics, type=kind)

    assert (seen, points(metrics), active(metrics)) == ([kind], [], {})


async def test_another_thread_collects_only_whole_figures() -> None:
    metrics = RequestMetrics(empty, route=lambda scope: scope["path"])
    done = threading.Event()
    faults: list[object] = []

    def collect() -> None:
        before = 0
        while not done.is_set():
            found = points(metrics)
            count = sum(point.count for point in found)
            if count < before or any(not 0 < point.min <= point.max < 60 for point in found):
                faults.append(found)
            before = count

    collector = threading.Thread(target=collect, daemon=True)
    collector.start()
    for number in range(3000):
        await call(metrics, path=f"/{number % 300}")
    done.set()
    collector.join(timeout=10)

    assert faults == []
    assert sum(point.count for point in points(metrics)) == 3000


def test_a_series_that_is_being_made_is_not_collected_yet() -> None:
    metrics = RequestMetrics(empty)

    metrics._new_series(("GET", "http", "/", 200, None))

    assert points(metrics) == []


@pytest.mark.parametrize(
    "config",
    [
        RequestMetricsConfig(bounds=()),
        RequestMetricsConfig(bounds=(1.0, 1.0)),
        RequestMetricsConfig(bounds=(2.0, 1.0)),
        RequestMetricsConfig(max_series=0),
    ],
)
def test_an_unusable_configuration_is_refused(config: RequestMetricsConfig) -> None:
    with pytest.raises(ValueError, match="must"):
        RequestMetrics(empty, config=config)


class Meters:
    """A meter of the SDK, and what a reader finds in it."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meter = MeterProvider([self.reader], Resource({}), shutdown_on_exit=False).get_meter("test")

    def read(self, name: str) -> dict[object, float]:
        """Return label value -> figure; the label of the overflow is True."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found: dict[object, float] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                assert isinstance(point, NumberDataPoint)
                if metric.name == name:
                    ((_, label),) = (point.attributes or {}).items()
                    found[label] = point.value
        return found


def test_events_are_counted_by_their_label() -> None:
    meters = Meters()
    refusals = EventCounter(meters.meter, "breakwater.refusals", label="code")

    refusals.add("rate_limited")
    refusals.add("rate_limited", 2)
    refusals.add("deadline_exceeded")

    assert meters.read("breakwater.refusals") == {"rate_limited": 3, "deadline_exceeded": 1}
    refusals.add("rate_limited")
    assert meters.read("breakwater.refusals") == {"rate_limited": 4, "deadline_exceeded": 1}


def test_what_is_known_to_come_is_there_as_nothing_before() -> None:
    """An increase is one over a figure that was seen before: the first event of a kind would be none."""
    meters = Meters()
    counter = EventCounter(meters.meter, "refusals", label="kind", known=("process", "sql"))
    counter.add("sql")
    assert meters.read("refusals") == {"process": 0, "sql": 1}


def test_labels_beyond_the_cap_are_counted_together() -> None:
    meters = Meters()
    refusals = EventCounter(meters.meter, "refusals", label="code", max_values=2)

    for code in ("a", "b", "c", "d", "a", "c"):
        refusals.add(code)

    assert meters.read("refusals") == {"a": 2, "b": 1, True: 3}


def test_no_event_is_lost_among_threads() -> None:
    meters = Meters()
    counter = EventCounter(meters.meter, "events", label="kind")

    def count() -> None:
        for _ in range(2000):
            counter.add("a")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert meters.read("events") == {"a": 16_000}


def test_states_are_read_when_collected() -> None:
    meters = Meters()
    degraded = {"redis": 0.0}
    observe_states(meters.meter, "breakwater.degraded", label="component", read=lambda: degraded)

    assert meters.read("breakwater.degraded") == {"redis": 0.0}
    degraded["redis"] = 1.0
    assert meters.read("breakwater.degraded") == {"redis": 1.0}


def test_instruments_work_on_a_meter_that_does_nothing() -> None:
    meter = NoOpMeter("test")

    EventCounter(meter, "refusals", label="code").add("rate_limited")
    observe_states(meter, "degraded", label="component", read=dict)

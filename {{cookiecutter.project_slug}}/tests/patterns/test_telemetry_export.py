"""What is recorded leaves, clean; and a collector that fails is not felt."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint, Sum
from opentelemetry.trace import Span, SpanContext, Status, StatusCode

from app.patterns.telemetry_export import Redact, Telemetry, TelemetryConfig, _NoiseFilter, configure_telemetry
from tests.support.live import serve
from tests.support.otlp_receiver import OtlpReceiver, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

ENDPOINT = "http://collector.example:4318"
SLACK = 20.0
"""Seconds beyond a bound that a busy machine may take; far below the SDK's own 30 s."""


@pytest.fixture(autouse=True)
def _no_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_thread_of_another_test() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("Otel", "telemetry-shutdown")):
            thread.join(timeout=20)
            assert not thread.is_alive()


@contextmanager
def telemetry_to(endpoint: str, *, redact: Redact | None = None, **settings: Any) -> Iterator[Telemetry]:
    """Export to ``endpoint``, promptly, and stop at the end."""
    promptly: dict[str, Any] = {"export_delay": 0.01, "export_timeout": 0.5, "service_version": "1.2.3"}
    config = TelemetryConfig(
        service_name="orders",
        traces_url=f"{endpoint}/v1/traces",
        metrics_url=f"{endpoint}/v1/metrics",
        **(promptly | settings),
    )
    telemetry = configure_telemetry(config, redact=redact)
    try:
        yield telemetry
    finally:
        telemetry.shutdown(timeout=5.0)


def record(telemetry: Telemetry, *names: str) -> None:
    for name in names:
        telemetry.tracer.start_span(name).end()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def run(script: str, **environ: str) -> str:
    """Run ``script`` in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_url_nothing_is_exported_nor_imported() -> None:
    printed = run(
        """
        import sys, threading
        from app.patterns.telemetry_export import TelemetryConfig, configure_telemetry
        telemetry = configure_telemetry(TelemetryConfig(service_name="orders"), set_global=True)
        with telemetry.tracer.start_as_current_span("work") as span:
            print(span.is_recording())
        telemetry.meter.create_counter("events").add(1)
        print(telemetry.shutdown(timeout=1), threading.active_count())
        print([name for name in ("requests", "google.protobuf", "opentelemetry.exporter") if name in sys.modules])
        """
    )

    assert printed.split("\n")[:3] == ["False", "True 1", "[]"]


def test_the_providers_become_global_only_on_request() -> None:
    printed = run(
        """
        from opentelemetry import metrics, trace
        from app.patterns.telemetry_export import TelemetryConfig, configure_telemetry
        config = TelemetryConfig(service_name="orders", traces_url="http://127.0.0.1:9/v1/traces",
                                 metrics_url="http://127.0.0.1:9/v1/metrics", export_timeout=0.1)
        for wanted in (False, True):
            telemetry = configure_telemetry(config, set_global=wanted)
            print(trace.get_tracer_provider() is telemetry.tracer_provider,
                  metrics.get_meter_provider() is telemetry.meter_provider)
            telemetry.shutdown(timeout=5)
        """
    )

    assert printed.split("\n")[:2] == ["False False", "True True"]


def test_spans_arrive_with_the_name_of_the_service_and_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9.9.9,k8s.pod.name=orders-1")

    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint) as telemetry:
            record(telemetry, "work")
            receiver.wait_for(lambda: len(receiver.spans()) == 1)
        resource = receiver.resource()

    UUID(str(resource.pop("service.instance.id")))
    assert {name: value for name, value in resource.items() if not name.startswith("telemetry.")} == {
        "service.name": "orders",
        "service.version": "9.9.9",
        "deployment.environment.name": "development",
        "k8s.pod.name": "orders-1",
    }


def test_metrics_arrive_the_meters_own_and_the_producers() -> None:
    produced = Metric(
        "jobs",
        "",
        "1",
        Sum([NumberDataPoint({"a": "b"}, 1, 2, 7)], AggregationTemporality.CUMULATIVE, is_monotonic=True),
    )

    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint) as telemetry:
            telemetry.meter.create_observable_gauge("depth", [lambda _options: [Observation(3)]])
            telemetry.add_producer(lambda: [produced])
            telemetry.add_producer(failing)
        metrics = receiver.metrics()

    assert set(metrics) == {"depth", "jobs", "telemetry.spans.lost"}
    assert metrics["depth"].gauge.data_points[0].as_int == 3
    assert [(plain(point.attributes), point.as_int) for point in metrics["jobs"].sum.data_points] == [({"a": "b"}, 7)]


def failing() -> Sequence[Metric]:
    raise RuntimeError("this producer is faulty")


def test_metrics_arrive_at_their_interval() -> None:
    with OtlpReceiver() as receiver, telemetry_to(receiver.endpoint, metrics_interval=0.02):
        receiver.wait_for(lambda: len(receiver.exports) >= 3)


def test_the_exporter_reads_its_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")

    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint) as telemetry:
            record(telemetry, "work")
        assert [span.name for span in receiver.spans()] == ["work"]

    assert {(headers["x-tenant"], headers["content-encoding"]) for headers in receiver.headers} == {("blue", "gzip")}


def test_shutdown_exports_what_is_left_and_only_once() -> None:
    with OtlpReceiver() as receiver, telemetry_to(receiver.endpoint, export_delay=3600.0) as telemetry:
        record(telemetry, "one", "two")

        assert telemetry.shutdown(timeout=10.0)
        assert telemetry.shutdown(timeout=10.0)
        assert [span.name for span in receiver.spans()] == ["one", "two"]
        record(telemetry, "late")
        assert telemetry.lost_spans() == {"queue_full": 0, "export_failed": 0, "shutdown": 1}


def test_a_full_queue_drops_at_once_and_counts() -> None:
    with OtlpReceiver() as receiver:
        receiver.hold()
        with telemetry_to(receiver.endpoint, max_queue=4, max_batch=2, export_timeout=60.0) as telemetry:
            record(telemetry, "1", "2")
            receiver.wait_for(lambda: receiver.attempts == 1)

            started = time.monotonic()
            record(telemetry, *(str(number) for number in range(3, 103)))

            assert time.monotonic() - started < SLACK
            assert telemetry.lost_spans() == {"queue_full": 96, "export_failed": 0, "shutdown": 0}
            receiver.release()
            receiver.wait_for(lambda: len(receiver.spans()) == 6)
        assert [span.name for span in receiver.spans()] == ["1", "2", "3", "4", "5", "6"]
        lost = receiver.metrics()["telemetry.spans.lost"].sum.data_points
        assert {str(plain(point.attributes)["reason"]): point.as_int for point in lost}["queue_full"] == 96


def test_shutdown_is_bounded_when_the_collector_hangs() -> None:
    with OtlpReceiver() as receiver:
        receiver.hold()
        with telemetry_to(receiver.endpoint, max_batch=2, export_timeout=60.0) as telemetry:
            record(telemetry, "1", "2")
            receiver.wait_for(lambda: receiver.attempts == 1)
            record(telemetry, "3", "4", "5")
            started = time.monotonic()

            assert not telemetry.shutdown(timeout=0.1)

            assert time.monotonic() - started < 0.1 + SLACK
            assert telemetry.lost_spans()["shutdown"] == 3


def test_a_collector_that_refuses_loses_its_spans_and_tells() -> None:
    with OtlpReceiver() as receiver:
        receiver.status = 503
        with telemetry_to(receiver.endpoint) as telemetry:
            record(telemetry, "one", "two")
            assert telemetry.shutdown(timeout=10.0)
            assert telemetry.lost_spans() == {"queue_full": 0, "export_failed": 2, "shutdown": 0}


def tracing(telemetry: Telemetry) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        with telemetry.tracer.start_as_current_span("request"):
            await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"fine"})

    return app


@pytest.mark.parametrize("collector", ["down", "hanging", "refusing"])
def test_requests_do_not_feel_a_collector_that_fails(collector: str) -> None:
    with OtlpReceiver() as receiver:
        endpoint = receiver.endpoint if collector != "down" else f"http://127.0.0.1:{unused_port()}"
        receiver.status = 503
        if collector == "hanging":
            receiver.hold()
        settings: dict[str, Any] = {"max_queue": 8, "max_batch": 2, "metrics_interval": 0.02, "export_timeout": 60.0}
        with telemetry_to(endpoint, **settings) as telemetry, serve(tracing(telemetry)) as url:
            with httpx2.Client(base_url=url, timeout=SLACK) as client:
                answers = [client.get("/").text for _ in range(50)]
            started = time.monotonic()
            telemetry.shutdown(timeout=0.1)

            assert time.monotonic() - started < 0.1 + SLACK
            assert answers == ["fine"] * 50
            assert sum(telemetry.lost_spans().values()) > 0


def test_a_dead_collector_leaves_few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    with telemetry_to(f"http://127.0.0.1:{unused_port()}", max_batch=1, metrics_interval=0.01) as telemetry:
        record(telemetry, *(str(number) for number in range(20)))
        telemetry.shutdown(timeout=30.0)
        assert telemetry.lost_spans()["export_failed"] == 20

    # The last collection is given one interval, which is short here: a busy machine says that it was not enough.
    loggers = [record.name for record in caplog.records if "collection timed out" not in record.getMessage()]
    assert loggers.count("opentelemetry.exporter.otlp.proto.http.trace_exporter") == 1
    assert loggers.count("opentelemetry.exporter.otlp.proto.http.metric_exporter") == 1
    assert loggers.count("app.patterns.telemetry_export") == 2, "the first loss, and the sum at the end"
    assert len(loggers) == 4


def test_one_line_passes_a_logger_and_interval() -> None:
    clock = [0.0]
    noise = _NoiseFilter(60.0, clock=lambda: clock[0])

    def passes(name: str, at: float) -> bool:
        clock[0] = at
        return noise.filter(logging.LogRecord(name, logging.ERROR, "", 0, "", None, None))

    expected = [True, False, True, False, True, False]
    assert expected == [
        passes("a", 0.0), passes("a", 1.0), passes("b", 1.0), passes("a", 59.9), passes("a", 60.0), passes("a", 61.0),
    ]  # fmt: skip


def secretive(span: Span) -> None:
    span.set_attribute("token hunter2", "a hunter2 b")
    span.set_attribute("nested", ["hunter2", {"hunter2": ["hunter2"]}])
    span.add_event("hunter2", {"text": "hunter2"})
    span.add_link(SpanContext(1, 1, is_remote=True), {"text": "hunter2"})
    span.record_exception(ValueError("hunter2"))
    span.set_status(Status(StatusCode.ERROR, "hunter2"))


def test_every_text_on_a_span_is_redacted() -> None:
    with OtlpReceiver() as receiver:
        with (
            telemetry_to(receiver.endpoint, redact=lambda text: text.replace("hunter2", "[secret]")) as telemetry,
            telemetry.tracer.start_as_current_span("hunter2") as span,
        ):
            secretive(span)
        (request,) = receiver.traces

    (arrived,) = receiver.spans()
    assert b"hunter2" not in request.SerializeToString()
    assert arrived.name == "[secret]"
    assert plain(arrived.attributes) == {
        "token [secret]": "a [secret] b",
        "nested": ["[secret]", {"[secret]": ["[secret]"]}],
    }
    assert [event.name for event in arrived.events] == ["[secret]", "exception"]
    assert plain(arrived.events[1].attributes)["exception.message"] == "[secret]"
    assert plain(arrived.links[0].attributes) == {"text": "[secret]"}
    assert arrived.status.message == "[secret]"


def test_no_secret_is_cut_in_half_before_it_is_redacted() -> None:
    given: list[int] = []

    def redact(text: str) -> str:
        given.append(len(text))
        return text.replace("hunter2", "[secret]")

    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint, redact=redact, max_text=100) as telemetry:
            span = telemetry.tracer.start_span("x" * 97 + "hunter2" + "y" * 5000)
            span.set_attribute("text", "x" * 97 + "hunter2" + "y" * 5000)
            span.end()
        (arrived,) = receiver.spans()

    assert arrived.name == plain(arrived.attributes)["text"] == "x" * 97 + "[se"
    assert max(given) == 400, "what is redacted is bounded too"


def test_text_that_cannot_be_redacted_is_not_sent() -> None:
    def redact(_text: str) -> str:
        raise RuntimeError("no redaction")

    with OtlpReceiver() as receiver:
        with (
            telemetry_to(receiver.endpoint, redact=redact) as telemetry,
            telemetry.tracer.start_as_current_span("hunter2") as span,
        ):
            secretive(span)
        (request,) = receiver.traces

    assert b"hunter2" not in request.SerializeToString()
    assert receiver.spans()[0].name == "[not redacted]"


def test_what_cannot_be_encoded_costs_neither_the_batch_nor_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint) as telemetry:
            span = telemetry.tracer.start_span("lone \ud800")
            span.set_attributes({"a": "\udfff", "b": 1 << 63, "c": -(1 << 63), "d": 10**5000, "\ud800": [1 << 63]})
            span.end()
            record(telemetry, "innocent")
        found = {span.name: plain(span.attributes) for span in receiver.spans()}

    out = "[out of range]"
    assert found == {"lone ?": {"a": "?", "b": out, "c": -(1 << 63), "d": out, "?": [out]}, "innocent": {}}
    assert caplog.records == []


def test_what_a_handler_puts_on_a_span_is_bounded() -> None:
    with OtlpReceiver() as receiver:
        with telemetry_to(receiver.endpoint, max_text=10, max_attributes=3, max_events=2) as telemetry:
            span = telemetry.tracer.start_span("n" * 100)
            for number in range(10):
                span.set_attribute(f"{number}{'k' * 100}", "v" * 100)
                span.add_event("e" * 100, {"text": "t" * 100})
            span.set_attribute("list", ["v" * 100] * 100)
            span.set_attribute("bytes", b"v" * 100)
            span.end()
        (arrived,) = receiver.spans()

    assert arrived.name == "n" * 10
    assert plain(arrived.attributes) == {"9" + "k" * 9: "v" * 10, "list": ["v" * 10] * 3, "bytes": b"v" * 10}
    assert [(event.name, plain(event.attributes)) for event in arrived.events] == [("e" * 10, {"text": "t" * 10})] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_stays_silent() -> None:
    with OtlpReceiver() as receiver:
        run(
            """
            import os, sys
            from app.patterns.telemetry_export import TelemetryConfig, configure_telemetry
            endpoint = os.environ["ENDPOINT"]
            telemetry = configure_telemetry(TelemetryConfig(
                service_name="orders", traces_url=f"{endpoint}/v1/traces", metrics_url=f"{endpoint}/v1/metrics"))
            telemetry.tracer.start_span("before").end()
            child = os.fork()
            telemetry.tracer.start_span("child" if not child else "parent").end()
            if not child:
                telemetry.shutdown(timeout=5)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert telemetry.shutdown(timeout=5)
            """,
            ENDPOINT=receiver.endpoint,
        )

    assert [span.name for span in receiver.spans()] == ["before", "parent"]
    assert len(receiver.exports) == 1


def test_the_standard_variables_set_the_configuration() -> None:
    config = TelemetryConfig.from_environment(
        {
            "OTEL_SERVICE_NAME": "billing",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{ENDPOINT}/",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://metrics.example/custom",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
            "OTEL_BSP_SCHEDULE_DELAY": "1500",
            "OTEL_METRIC_EXPORT_INTERVAL": "250.5",
        },
        service_name="orders",
        environment="production",
    )

    assert config == TelemetryConfig(
        service_name="billing",
        environment="production",
        traces_url=f"{ENDPOINT}/v1/traces",
        metrics_url="https://metrics.example/custom",
        max_queue=100,
        max_batch=10,
        export_delay=1.5,
        metrics_interval=0.2505,
    )


@pytest.mark.parametrize(
    ("environ", "urls"),
    [
        ({}, (None, None)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, (None, None)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, (None, None)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, (None, f"{ENDPOINT}/v1/metrics")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, (f"{ENDPOINT}/v1/traces", None)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT}, (ENDPOINT, None)),
    ],
)
def test_only_what_has_an_endpoint_is_exported(environ: Mapping[str, str], urls: Sequence[str | None]) -> None:
    config = TelemetryConfig.from_environment(environ, service_name="orders")

    assert (config.traces_url, config.metrics_url) == urls


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1m"}, "OTEL_METRIC_EXPORT_INTERVAL"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "511"}, "max_batch"),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0"}, "max_batch"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "endpoint"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(environ: Mapping[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TelemetryConfig.from_environment(environ, service_name="orders")

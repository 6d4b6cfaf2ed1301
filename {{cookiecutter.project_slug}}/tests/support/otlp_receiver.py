"""A collector in the test's own process: takes OTLP over HTTP on a loopback port, or fails as it is told."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE = 60.0
"""Seconds that a wait may take before the test fails; nothing that works takes as long."""

Value = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None


class OtlpReceiver:
    """Keeps what it is sent.

    Attributes:
        endpoint: base URL, what ``OTEL_EXPORTER_OTLP_ENDPOINT`` would be.
        status: what it answers; anything but 200 keeps nothing.
        attempts: requests that arrived, whatever became of them.
        traces: requests with spans, in order of arrival.
        exports: requests with metrics, in order of arrival.
        headers: headers of each request that was kept, names in lower case.
    """

    def __init__(self) -> None:
        self.status = 200
        self.attempts = 0
        self.traces: list[ExportTraceServiceRequest] = []
        self.exports: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self._arrival = threading.Condition()
        self._gate = threading.Event()
        self._gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="otlp-receiver", daemon=True
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=PATIENCE)

    def forget(self) -> None:
        """Keep the last export only: for whoever receives for hours."""
        with self._arrival:
            self.traces.clear()
            del self.exports[:-1], self.headers[:-1]

    def hold(self) -> None:
        """Take requests and do not answer them until :meth:`release`."""
        self._gate.clear()

    def release(self) -> None:
        """Answer again, those that wait too."""
        self._gate.set()

    def wait_for(self, arrived: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until ``arrived`` is true, looking again whenever a request comes in.

        Raises:
            AssertionError: it did not become true in time.
        """
        with self._arrival:
            if not self._arrival.wait_for(arrived, timeout=patience):
                seen = f"{self.attempts} requests, {len(self.spans())} spans, metrics {sorted(self.metrics())}"
                raise AssertionError(f"after {patience} s: {seen}")

    def spans(self) -> list[Span]:
        """Return every span that arrived."""
        return [
            span
            for request in self.traces
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    def span(self, name: str) -> Span:
        """Return the one span of that name, after waiting for it.

        Raises:
            AssertionError: there is none, or more than one.
        """
        self.wait_for(lambda: any(span.name == name for span in self.spans()))
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def metrics(self) -> dict[str, Metric]:
        """Return the metrics of the last export, by name."""
        return {
            metric.name: metric
            for resource_metrics in (self.exports[-1].resource_metrics if self.exports else ())
            for scope_metrics in resource_metrics.scope_metrics
            for metric in scope_metrics.metrics
        }

    def metrics_from_now(self) -> dict[str, Metric]:
        """Return the metrics of an export that was collected after this call, by name.

        What a service counts only after it has answered may come later still: wait for that itself.

        Raises:
            AssertionError: none came in time.
        """
        with self._arrival:
            seen = len(self.exports)
        self.wait_for(lambda: len(self.exports) >= seen + 2)  # the first may have been collected before
        return self.metrics()

    def resource(self) -> dict[str, Value]:
        """Return the attributes of the resource of the last export of either kind."""
        if self.traces:
            return plain(self.traces[-1].resource_spans[0].resource.attributes)
        return plain(self.exports[-1].resource_metrics[0].resource.attributes)

    def _take(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self._arrival:
            self.headers.append(dict(headers))
            if path == "/v1/traces":
                self.traces.append(ExportTraceServiceRequest.FromString(body))
                return bytes(ExportTraceServiceResponse().SerializeToString())
            self.exports.append(ExportMetricsServiceRequest.FromString(body))
            return bytes(ExportMetricsServiceResponse().SerializeToString())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver._arrival:
                    receiver.attempts += 1
                    receiver._arrival.notify_all()
                receiver._gate.wait(timeout=PATIENCE * 2)
                known = self.path in {"/v1/traces", "/v1/metrics"}
                status = receiver.status if known else 404
                names = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._take(self.path, names, body) if status == 200 else b""
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/x-protobuf")
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True  # the exporter gave up waiting
                with receiver._arrival:
                    receiver._arrival.notify_all()

        return Handler


def plain(attributes: Sequence[KeyValue]) -> dict[str, Value]:
    """Return OTLP attributes as a dictionary of plain values."""
    return {pair.key: _plain(pair.value) for pair in attributes}


def _plain(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return plain(value.kvlist_value.values)
    content: Value = getattr(value, kind) if kind else None
    return content

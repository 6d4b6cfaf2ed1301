"""An OTLP/HTTP receiver in a process of its own: takes what contestants export, and counts spans when asked.

``python sink.py PORT``; any GET answers how many server spans came since the last ask.
"""

from __future__ import annotations

import gzip
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MAX_BATCHES = 4_096
"""Batches kept until someone asks; a long run that nobody asks about loses its oldest."""


class OtlpHandler(BaseHTTPRequestHandler):
    """Answers 200 to every export at once; what a batch holds is looked at later, off the measured time."""

    protocol_version = "HTTP/1.1"
    batches: ClassVar[deque[tuple[bytes, str | None]]] = deque(maxlen=MAX_BATCHES)
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        """Take one export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.batches.append((body, self.headers.get("Content-Encoding")))
        self._answer(b"", "application/x-protobuf")

    def do_GET(self) -> None:
        """Count the spans since the last ask."""
        with self.lock:
            spans = sum(_server_spans(*self.batches.popleft()) for _ in range(len(self.batches)))
        self._answer(str(spans).encode(), "text/plain")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay silent."""

    def _answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _server_spans(body: bytes, encoding: str | None) -> int:
    """How many spans of kind SERVER an export holds: one a sampled request, whatever else a stack traces."""
    message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body)
    return sum(
        span.kind == span.SPAN_KIND_SERVER
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), OtlpHandler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()

"""A real Prometheus beside a service, and what it answers."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx2

from tests.deploy.emitted import exposition
from tests.deploy.manifests import DEPLOY, expression
from tests.deploy.picture import Series, Span, named
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.support.otlp_receiver import OtlpReceiver

POINTS = 150
"""Of a line, at most: two to three pixels each."""


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: apt-get install prometheus"
    return found


@contextlib.contextmanager
def offered(text: Callable[[], str]) -> Iterator[int]:
    """Serve an exposition as the collector would, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def prometheus(folder: Path, receiver: OtlpReceiver) -> Iterator[str]:
    """Run a Prometheus with the configuration and the rules of deploy/, only faster, and yield its URL.

    Args:
        folder: for its data.
        receiver: what it scrapes, as the collector would offer it.
    """
    with offered(lambda: exposition(receiver)) as port:
        text = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
        text = text.replace("collector:8889", f"127.0.0.1:{port}").replace(": 15s", ": 1s").replace(": 10s", ": 1s")
        (folder / "prometheus.yml").write_text(text)
        rules = (DEPLOY / "prometheus" / "rules.yml").read_text("utf-8").replace("interval: 15s", "interval: 1s")
        (folder / "rules.yml").write_text(rules)
        listens = free_port()
        command = [
            tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{listens}", "--log.level=error",
        ]  # fmt: skip
        process = subprocess.Popen(command)
        try:
            yield f"http://127.0.0.1:{listens}"
        finally:
            process.terminate()
            process.wait(20)


def asked(url: str, path: str, **parameters: str | float) -> list[dict[str, Any]]:
    """Return the result of a query, which may be empty."""
    found = httpx2.get(f"{url}/api/v1/{path}", params=parameters).json()
    assert found["status"] == "success", found
    result: list[dict[str, Any]] = found["data"]["result"]
    return result


def answer(url: str, query: str) -> list[dict[str, Any]]:
    """Return what a query finds now."""
    return asked(url, "query", query=query)


def over(url: str, query: str, span: Span) -> list[dict[str, Any]]:
    """Return what a query finds over the span, as a panel asks it."""
    step = max(1.0, (span.end - span.start) / POINTS)
    return asked(url, "query_range", query=query, start=span.start, end=span.end, step=step)


def lines(url: str, panel: Mapping[str, Any], target: Mapping[str, Any], span: Span) -> list[Series]:
    """Return the answer to a panel's target: over the span, or of its end for a figure."""
    query, legend = expression(target), target["legendFormat"]
    if panel["type"] == "stat":
        found = [(each["metric"], [each["value"]]) for each in asked(url, "query", query=query, time=span.end)]
    else:
        found = [(each["metric"], each["values"]) for each in over(url, query, span)]
    points = [(labels, [(float(at), float(value)) for at, value in values]) for labels, values in found]
    return [
        Series(named(legend, labels), tuple((at, value) for at, value in values if math.isfinite(value)))
        for labels, values in points
    ]

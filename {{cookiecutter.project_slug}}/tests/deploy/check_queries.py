"""`make dashboards`: a real Prometheus scrapes what the service sends, and has an answer to every query of deploy/.

Beside `make test`, because no package index has a Prometheus: `apt-get install prometheus`. Its promtool runs the
rules' own tests, too.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.deploy.emitted import busy_service, exposition, provoke
from tests.deploy.manifests import DEPLOY, Query, queries
from tests.support.service import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EMPTY = {
    "ErrorBudgetBurnsFast", "ErrorBudgetBurns", "ErrorBudgetBurnsSlowly", "TelemetryAbsent", "CircuitOpen",
    "RouteQuarantined", "Overloaded", "EventLoopBlocked", "JobsGivenUp", "JobsPileUp", "Degraded",
}  # fmt: skip
"""Alerts that have no answer while nothing is wrong; their parts have (the panels ask for the same series)."""


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: apt-get install prometheus"
    return found


def test_the_rules_own_tests_pass() -> None:
    for arguments in (("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yml")):
        done = subprocess.run(
            [tool("promtool"), *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


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


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with busy_service(folder / "busy") as (service, receiver):
        provoke(service)
        receiver.wait_for(lambda: bool(receiver.exports))
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
                url = f"http://127.0.0.1:{listens}"
                end = time.monotonic() + 60
                for look in itertools.count():
                    provoke_again(service.url, look)
                    with contextlib.suppress(httpx2.HTTPError, KeyError, IndexError):
                        if answer(url, "job:http_errors:ratio_rate5m") and answer(url, "count_over_time(up[1m]) > 15"):
                            break
                    assert time.monotonic() < end
                    time.sleep(0.2)  # between two looks
                yield url
            finally:
                process.terminate()
                process.wait(20)


def provoke_again(url: str, look: int) -> None:
    httpx2.get(f"{url}/nowhere")
    if look % 15 == 0:  # an increase is one over a figure that was seen before; too many, and the route is quarantined
        httpx2.post(f"{url}/holes/shell", json={"what": "a"})
        httpx2.get(f"{url}/unruly/raise")


def answer(url: str, expression: str) -> list[object]:
    found = httpx2.get(f"{url}/api/v1/query", params={"query": expression}).json()
    assert found["status"] == "success", found
    result: list[object] = found["data"]["result"]
    return result


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_a_query_has_an_answer(query: Query, prometheus: str) -> None:
    found = answer(prometheus, query.expression)
    assert found or query.where.removeprefix("rules.yml ") in EMPTY

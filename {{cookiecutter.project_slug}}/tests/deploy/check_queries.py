"""`make dashboards`: a real Prometheus scrapes what the service sends, and has an answer to every query of deploy/.

Beside `make test`, because no package index has a Prometheus: `apt-get install prometheus`. Its promtool runs the
rules' own tests, too. With ``PICTURE`` the service is watched for ``MINUTES`` (ten) in which much happens to it, and
the dashboard is drawn into that file. With ``TRAFFIC`` it is the service of that command which is watched, until the
command ends: it has to export where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.deploy.emitted import busy_service, provoke
from tests.deploy.manifests import DEPLOY, Query, dashboard, queries
from tests.deploy.picture import Span, picture
from tests.deploy.shift import shift
from tests.deploy.watched import answer, lines, over, prometheus, tool
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.upstreams import simulated_in_a_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

PICTURE = os.environ.get("PICTURE")
MINUTES = float(os.environ.get("MINUTES", "10"))
TRAFFIC = os.environ.get("TRAFFIC")

EMPTY = {
    "ErrorBudgetBurnsFast", "ErrorBudgetBurns", "ErrorBudgetBurnsSlowly", "TelemetryAbsent", "CircuitOpen",
    "RouteQuarantined", "Overloaded", "EventLoopBlocked", "JobsGivenUp", "JobsPileUp", "Degraded",
}  # fmt: skip
"""Alerts that have no answer while nothing is wrong; their parts have (the panels ask for the same series)."""


def test_the_rules_own_tests_pass() -> None:
    for arguments in (("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yml")):
        done = subprocess.run(
            [tool("promtool"), *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Watched:
    """A Prometheus that has seen a service at work, and from when to when."""

    url: str
    span: Span


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    tool("prometheus")  # before all that takes time
    folder = tmp_path_factory.mktemp("prometheus")
    begun = time.time()
    if TRAFFIC:
        with OtlpReceiver() as receiver, prometheus(folder, receiver) as url:
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
            subprocess.run(TRAFFIC, shell=True, env=environment, check=True)
            yield Watched(url, Span(begun, time.time()))
        return
    with simulated_in_a_thread() as (payments, at):
        environ = {"APP_PAYMENTS_URL": at, "APP_MAX_IN_FLIGHT": "60"}
        with busy_service(folder / "busy", environ) as (service, receiver):
            provoke(service)
            receiver.wait_for(lambda: bool(receiver.exports))
            with prometheus(folder, receiver) as url:
                if PICTURE:
                    shift(service, payments, 60 * MINUTES)
                look_until_it_has_seen_enough(url, service)
                yield Watched(url, Span(begun, time.time()))


def look_until_it_has_seen_enough(prometheus_url: str, service: Service) -> None:
    end = time.monotonic() + 60
    for look in itertools.count():
        provoke_again(service, look)
        with contextlib.suppress(httpx2.HTTPError, KeyError, IndexError):
            if answer(prometheus_url, "job:http_errors:ratio_rate5m") and answer(
                prometheus_url, "count_over_time(up[1m]) > 15"
            ):
                return
        assert time.monotonic() < end
        time.sleep(0.2)  # between two looks


def provoke_again(service: Service, look: int) -> None:
    httpx2.get(f"{service.url}/nowhere")
    if look % 15 == 0:  # an increase is one over a figure that was seen before; too many, and the route is quarantined
        httpx2.post(f"{service.url}/holes/shell", json={"what": "a"})
        httpx2.get(f"{service.url}/unruly/raise")
        httpx2.get(f"{service.url}/pay/none/or-nothing", headers=service.bearer("writer"))


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_a_query_has_an_answer(query: Query, watched: Watched) -> None:
    values = [float(value) for each in over(watched.url, query.expression, watched.span) for _, value in each["values"]]
    assert any(map(math.isfinite, values)) or query.where.removeprefix("rules.yml ") in EMPTY


def test_every_panel_of_the_dashboard_can_be_drawn_from_the_answers(watched: Watched, tmp_path: Path) -> None:
    minutes = (watched.span.end - watched.span.start) / 60
    caption = (
        f"{minutes:.0f} minutes of the tests' own requests: what a real Prometheus answered to each panel's query. "
        "Drawn by tests/deploy/picture.py, not by Grafana."
    )
    drawn = picture(
        dashboard(), lambda panel, target: lines(watched.url, panel, target, watched.span), watched.span, caption
    )
    assert drawn.empty == ()
    (Path(PICTURE) if PICTURE else tmp_path / "dashboard.svg").write_text(drawn.svg, "utf-8")

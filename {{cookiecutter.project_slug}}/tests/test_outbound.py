"""Handlers reach other services through their policy; what goes wrong there becomes a problem that tells nothing."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.guards.probes import is_problem
from tests.support.otlp_receiver import OtlpReceiver, plain
from tests.support.service import DROPPED, ROOT, Service, copy_project, environment, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLICY = """
[routes."POST /pay"]
allow = ["probe:write"]
effects = "external"
outbound = ["payments"]
rate = "1000/minute"
timeout = "3s"

[routes."GET /pay/{charge_id}"]
allow = ["probe:read"]
outbound = ["payments"]
rate = "1000/minute"
timeout = "2s"

[routes."GET /pay/{charge_id}/or-stale"]
allow = ["probe:read"]
outbound = ["payments"]

[routes."GET /pay/{charge_id}/or-nothing"]
allow = ["probe:read"]
outbound = ["payments"]

[routes."GET /pay"]
allow = ["probe:read"]
outbound = ["web"]
"""
BOOT = ("check", "--layer", "boot")
TOKEN = "hunter2-payments"
PATIENCE = 60.0


class Simulator:
    """`app simulate payments`, as a process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, **behaviour: Any) -> None:
        assert httpx2.put(f"{self.url}/behaviour", json=behaviour).status_code == 200

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx2.get(f"{self.url}/behaviour").json()
        return state


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("paying"), dropped=False)
    shutil.copy(DROPPED / "payer.py", folder / "app" / "handlers" / "payer.py")
    with (folder / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write(POLICY)
    return folder


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "simulate", "payments", "--port", "0"],
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], PATIENCE)[0]
        said = process.stdout.readline().decode()
        yield Simulator(said.removeprefix("payments simulator on ").strip())
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def started(project: Path, simulator: Simulator, receiver: OtlpReceiver) -> Iterator[Service]:
    settings = {
        "APP_PAYMENTS_URL": simulator.url, "APP_PAYMENTS_TOKEN": TOKEN, "APP_TRACE_SAMPLE_RATIO": "1",
    }  # fmt: skip
    with running(project, environ=settings, telemetry=receiver) as service:
        yield service


@pytest.fixture
def service(started: Service, simulator: Simulator) -> Service:
    """The service with a circuit that stays closed: whatever a test lets fail, more has gone well before."""
    simulator.behave()
    for _ in range(8):
        read(started, "ch_1")
    return started


def pay(service: Service, key: str, **params: str) -> httpx2.Response:
    headers = {**service.bearer("writer"), "idempotency-key": key}
    return httpx2.post(f"{service.url}/pay", params=params, headers=headers, timeout=PATIENCE)


def read(service: Service, path: str, subject: str = "alice") -> httpx2.Response:
    return httpx2.get(f"{service.url}/pay/{path}", headers=service.bearer("reader", subject=subject), timeout=PATIENCE)


# --- the boot -----------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(project: Path, tmp_path: Path) -> Path:
    return shutil.copytree(project, tmp_path / "fresh", ignore=shutil.ignore_patterns("app.db*", ".development*"))


def test_a_handler_that_asks_for_what_its_policy_lacks_does_not_boot_and_the_line_to_write_is_said(fresh: Path) -> None:
    policy = fresh / "policy.toml"
    text = policy.read_text("utf-8")
    entry = text.index('[routes."GET /pay/{charge_id}"]')
    policy.write_text(text[:entry] + text[entry:].replace('outbound = ["payments"]\n', "", 1), "utf-8")
    line = text[:entry].count("\n") + 1
    done = run_to_end(fresh, *BOOT)
    assert done.returncode == 1
    assert f'policy.toml:{line}:1: BW910\n  GET /pay/{{charge_id}} lacks outbound = ["payments"]' in done.stdout
    assert "(app/handlers/payer.py:" in done.stdout


def test_a_service_that_is_asked_for_somewhere_below_is_seen_too(fresh: Path) -> None:
    (fresh / "app" / "handlers" / "deep.py").write_text(
        "from typing import Annotated\nfrom fastapi import APIRouter, Depends\nfrom app.dependencies import Payments\n"
        "router = APIRouter()\n"
        "async def helper(payments: Payments): return payments\n"
        "@router.get('/deep')\nasync def deep(helper: Annotated[object, Depends(helper)]): return {}\n"
    )
    with (fresh / "policy.toml").open("a") as policy:
        policy.write('\n[routes."GET /deep"]\npublic = true\n')
    assert 'GET /deep lacks outbound = ["payments"]' in run_to_end(fresh, *BOOT).stdout


def test_an_undeclared_service_in_the_policy_does_not_boot(fresh: Path) -> None:
    policy = fresh / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace('outbound = ["web"]', 'outbound = ["webb"]'), "utf-8")
    done = run_to_end(fresh, *BOOT)
    assert done.returncode == 1
    assert 'no upstream "webb"' in done.stdout


def test_production_does_not_boot_without_the_services_that_its_policy_names(fresh: Path) -> None:
    settings = {
        "APP_ENVIRONMENT": "production",
        "APP_ISSUER": "https://issuer.example/",
        "APP_JWKS_URL": "https://issuer.example/jwks.json",
    }
    done = run_to_end(fresh, *BOOT, environ=settings)
    assert done.returncode == 1
    assert "APP_PAYMENTS_URL: unset" in done.stdout


# --- a call -------------------------------------------------------------------------------------------------------


def test_a_request_that_is_sent_again_charges_once(service: Service, simulator: Simulator) -> None:
    before = simulator.state()["charges"]
    first, second = pay(service, "pay-once"), pay(service, "pay-once")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert simulator.state()["charges"] == before + 1


def test_a_charge_whose_answer_is_lost_fails_and_its_retry_charges_nothing_more(
    service: Service, simulator: Simulator
) -> None:
    before = simulator.state()["charges"]
    simulator.behave(mode="half_close")
    is_problem(pay(service, "lost"), 502, "upstream_bad_answer")
    simulator.behave()
    assert pay(service, "lost").status_code == 201
    assert simulator.state()["charges"] == before + 1


def test_a_declined_card_is_the_handlers_to_say(service: Service) -> None:
    is_problem(pay(service, "declined", reference="declined"), 402, "payment_required")


@pytest.mark.parametrize(
    ("behaviour", "problem", "reason"),
    [
        ({"mode": "html"}, (502, "upstream_bad_answer"), "content_type"),
        ({"mode": "redirect"}, (502, "upstream_bad_answer"), "redirect"),
        ({"mode": "gzip_bomb"}, (502, "upstream_bad_answer"), "too_large"),
        ({"mode": "hang"}, (504, "upstream_timeout"), "(attempt_)?timeout|hurry"),
        ({"mode": "rate_limited", "retry_after": "9999999"}, (503, "upstream_unavailable"), "status_429"),
        ({"error_rate": 1.0}, (502, "upstream_refused"), "status_500"),
    ],
)
def test_what_goes_wrong_there_is_a_problem_here(
    service: Service, simulator: Simulator, behaviour: dict[str, Any], problem: tuple[int, str], reason: str
) -> None:
    simulator.behave(**behaviour)
    answer = read(service, "ch_1")
    is_problem(answer, *problem)
    assert "payments" not in answer.text
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="request")
    assert re.fullmatch(f"payments: ({reason})", line["reason"])
    if "retry_after" in behaviour:
        assert answer.headers["retry-after"] == "3600"


def test_what_does_not_exist_there_is_not_passed_on(service: Service) -> None:
    answer = read(service, "ch_unknown")
    is_problem(answer, 502, "upstream_refused")
    assert "not_found" not in answer.text


def test_a_url_from_a_caller_that_leads_inside_is_refused(service: Service) -> None:
    for url in ("http://169.254.169.254/latest/meta-data/", "http://127.0.0.1/", "http://localhost/", "ftp://x/"):
        answer = httpx2.get(f"{service.url}/pay", params={"url": url}, headers=service.bearer("reader"))
        is_problem(answer, 422, "url_refused")


# --- what stands in -----------------------------------------------------------------------------------------------


def test_an_older_answer_stands_in_and_says_so_and_only_for_its_own_caller(
    service: Service, simulator: Simulator
) -> None:
    charge = pay(service, "stale").json()
    live = read(service, f"{charge['id']}/or-stale")
    assert (live.json(), "cache-status" in live.headers) == (charge, False)
    simulator.behave(mode="reset")
    stale = read(service, f"{charge['id']}/or-stale")
    assert (stale.status_code, stale.json()) == (200, charge)
    assert stale.headers["cache-status"].startswith("charges; hit; ttl=-")
    other = read(service, f"{charge['id']}/or-stale", subject="bob")
    assert other.status_code in {502, 503}, other.text  # 503 if the circuit has opened by now


def test_a_default_stands_in_and_says_so(service: Service, simulator: Simulator) -> None:
    simulator.behave(mode="reset")
    answer = read(service, "ch_1/or-nothing")
    assert (answer.status_code, answer.json()) == (200, None)
    assert answer.headers["cache-status"] == "nothing; fwd=miss; detail=default"


# --- what is seen -------------------------------------------------------------------------------------------------


def test_the_trace_goes_through_the_request_its_call_and_its_attempt(service: Service, receiver: OtlpReceiver) -> None:
    answer = pay(service, "traced")
    trace = answer.headers["traceparent"].split("-")[1]
    receiver.wait_for(lambda: sum(span.trace_id.hex() == trace for span in receiver.spans()) == 3)
    spans = {span.name: span for span in receiver.spans() if span.trace_id.hex() == trace}
    request, call, attempt = (spans[name] for name in ("POST /pay", "payments POST /v1/charges", "POST /v1/charges"))
    assert (call.parent_span_id, attempt.parent_span_id) == (request.span_id, call.span_id)
    assert plain(attempt.attributes)["http.response.status_code"] == 201
    assert TOKEN not in str(list(spans.values()))


def test_the_states_of_the_calls_are_exported(service: Service, receiver: OtlpReceiver) -> None:
    pay(service, "metrics")
    metrics = receiver.metrics_from_now()
    for figure in ("circuit", "retry_budget", "in_flight", "queued"):
        points = metrics[f"breakwater.upstream.{figure}"].gauge.data_points
        assert {"payments"} <= {plain(point.attributes)["breakwater.upstream"] for point in points}
    durations = metrics["http.client.request.duration"].histogram.data_points
    assert any(plain(point.attributes).get("http.response.status_code") == 201 for point in durations)


def test_an_open_circuit_is_degraded_answers_at_once_and_is_logged_once(
    project: Path, tmp_path: Path, simulator: Simulator
) -> None:
    folder = shutil.copytree(project, tmp_path / "dead", ignore=shutil.ignore_patterns("app.db*"))
    with running(folder, environ={"APP_PAYMENTS_URL": "http://127.0.0.1:9"}) as service:
        answers: list[httpx2.Response] = []
        while len(answers) < 40 and not any(line.get("event") == "circuit" for line in service.parsed()):
            answers.append(read(service, "ch_1"))
        answers.append(read(service, "ch_1"))  # and no more: seconds later it lets one try again
        for answer in answers:
            is_problem(answer, 503, "upstream_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        ready = httpx2.get(f"{service.url}/readyz")
        lines = service.lines(event="circuit")
        last = service.lines(request_id=answers[-1].headers["x-request-id"], event="request")
    assert (ready.status_code, ready.json()["checks"]["upstream_payments"]) == (
        200,
        {"state": "degraded", "circuit": "open"},
    )
    states = [line["state"] for line in lines if line["upstream"] == "payments"]
    # A machine that needs longer than a break for forty requests sees it tried again: a line a change, all the same.
    assert (len(states), states[0]) == (len(lines), "open")
    assert all(before != after for before, after in pairwise(states))
    assert last[0]["reason"] == "payments: circuit_open"


def test_a_secret_of_a_service_is_in_no_line(service: Service) -> None:
    assert TOKEN not in json.dumps(service.parsed())
    assert TOKEN not in os.linesep.join(service.output)

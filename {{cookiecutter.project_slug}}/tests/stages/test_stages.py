"""A person's word reaches every process, probation is tighter than service, and the evidence is there to see."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.guards.probes import is_problem
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service import Service, copy_project, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIAL = "GET /probe/trial"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    policy = folder / "policy.toml"
    text = policy.read_text("utf-8").replace(
        '[routes."GET /probe/hang/too"]', '[routes."GET /probe/hang/too"]\nstage = "probation"'
    )
    text = text.replace('timeout = "300ms"', 'timeout = "2s"')
    text = text.replace(
        '[routes."POST /probe/json"]', '[routes."POST /probe/json"]\nstage = "probation"\ntimeout = "200ms"'
    )
    policy.write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def service(project: Path, receiver: OtlpReceiver) -> Iterator[Service]:
    with running(project, telemetry=receiver, environ={"APP_TRACE_SAMPLE_RATIO": "0"}) as started:
        yield started


def get(service: Service, path: str, **options: str) -> httpx2.Response:
    return httpx2.get(f"{service.url}{path}", headers=service.bearer("writer"), params=options, timeout=20)


def test_a_route_on_probation_is_traced_whole_and_has_half_its_time(service: Service, receiver: OtlpReceiver) -> None:
    answer = get(service, "/probe/trial")
    trace = answer.headers["traceparent"].split("-")[1]
    receiver.wait_for(lambda: any(span.trace_id.hex() == trace for span in receiver.spans()))
    plain = get(service, "/probe/items/1").headers["traceparent"].split("-")[1]
    hangs = get(service, "/probe/hang/too")
    is_problem(hangs, 504, "deadline_exceeded")
    assert "within 1 seconds" in hangs.json()["detail"]
    assert "within 2 seconds" in get(service, "/probe/hang").json()["detail"]
    assert not any(span.trace_id.hex() == plain for span in receiver.spans())


def test_a_person_takes_a_route_out_and_puts_it_back(service: Service, project: Path) -> None:
    done = run_to_end(project, "routes", "quarantine", "GET /probe/items/{number}", "--why", "it leaks", "--by", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    assert "quarantine: GET /probe/items/{number}, by ann: it leaks" in done.stdout
    (line,) = service.lines(event="route_order", entry="GET /probe/items/{number}")
    assert (line["act"], line["by"], line["why"]) == ("quarantine", "ann", "it leaks")
    is_problem(get(service, "/probe/items/1"), 503, "route_quarantined")
    assert get(service, "/probe/span").status_code == 200
    out = httpx2.get(f"{service.url}/readyz").json()["checks"]["routes"]["quarantined"]
    assert set(out) - {"GET /probe/crash"} == {"GET /probe/items/{number}"}  # another test may have had that one fail
    run_to_end(project, "routes", "release", "GET /probe/items/{number}", "--why", "mended", "--by", "bob")
    service.lines(event="route_order", act="release")
    assert get(service, "/probe/items/1").status_code == 200
    acts = run_to_end(project, "routes", "acts").stdout.splitlines()
    assert "release     GET /probe/items/{number}  by bob: mended" in acts[0]
    assert "quarantine  GET /probe/items/{number}  by ann: it leaks" in acts[1]


def test_a_route_that_fails_is_out_and_others_are_not(service: Service) -> None:
    """An active route has to fail for nearly everybody: 90 % of fifty."""
    statuses = [get(service, "/probe/crash").status_code for _ in range(51)]
    assert statuses == [500] * 50 + [503]
    (line,) = service.lines(event="route_state", entry="GET /probe/crash")
    assert (line["state"], line["reason"]) == ("quarantined", "failures")
    assert get(service, "/probe/items/1").status_code == 200


def half_a_request(service: Service, path: str, **headers: str) -> str:
    """Send a request whose body does not come, and return the code that it is refused with."""
    lines = [f"POST {path} HTTP/1.1", "Host: service", "Connection: close", "Content-Type: application/json"]
    lines.append("Content-Length: 20")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", "{"]).encode())
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


def test_nobody_takes_a_route_out_by_leaving_it_no_time(service: Service) -> None:
    """A caller says how long it waits, here for what it does not even send: that is no failure of the route."""
    for number in range(52):
        code = half_a_request(service, "/probe/visits", x_request_timeout_ms="1", idempotency_key=f"hurry-{number:016}")
        assert code == "deadline_exceeded"
    answer = httpx2.post(f"{service.url}/probe/visits", headers={"idempotency-key": "somebody-elses-visit"})
    assert answer.status_code == 201


def test_nobody_takes_a_route_on_probation_out_by_a_body_that_does_not_come(service: Service) -> None:
    caller = service.bearer("writer")
    codes = {half_a_request(service, "/probe/json", **caller) for _ in range(12)}
    assert codes == {"deadline_exceeded"}
    answer = httpx2.post(f"{service.url}/probe/json", json={"a": 1}, headers=caller)
    assert (answer.status_code, answer.json()) == (200, {"members": 1})


def test_evidence_is_added_up_and_judged(project: Path, tmp_path: Path) -> None:
    environ = {"APP_ROUTES_PATH": str(tmp_path)}
    for act, why, by in (("quarantine", "it leaks", "ann"), ("release", "mended", "bob")):
        run_to_end(project, "routes", act, "GET /probe/items/{number}", "--why", why, "--by", by, environ=environ)
    with running(project, environ=environ) as service:
        for _ in range(51):
            get(service, "/probe/crash")
        for _ in range(4):
            assert get(service, "/probe/span").status_code == 200
        service.stop()  # it reports as it ends
    done = run_to_end(project, "evidence", "GET /probe/span", "--no-gate", environ=environ)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert said[0] == "GET /probe/span"
    assert "  requests      4" in said
    assert "  errors        0 (0.00%)" in said
    assert "  gate          not asked" in said
    assert "against promotion: 4 requests are fewer than 1000" in said
    crash = run_to_end(project, "evidence", "GET /probe/crash", "--no-gate", environ=environ).stdout
    assert "  errors        50 (100.00%)" in crash
    assert "  shed          1" in crash
    assert "against promotion: it was quarantined 1 times" in crash
    quarantined = run_to_end(project, "evidence", "GET /probe/items/{number}", "--no-gate", environ=environ).stdout
    assert "  last word     release by bob" in quarantined


def test_what_is_no_route_is_said_with_the_nearest(project: Path) -> None:
    for command in (("routes", "release", "--why", "x"), ("evidence",)):
        done = run_to_end(project, *command, "GET /probe/trail")
        assert done.returncode == 1
        assert "did you mean 'GET /probe/trial'?" in done.stderr
    done = run_to_end(project, "routes", "promote", "GET /probe/span", "--why", "x")
    assert "is not on probation" in done.stderr
    assert run_to_end(project, "routes", "promote", TRIAL).returncode == 2  # without a reason


def test_a_promotion_holds_in_every_process_that_shares_redis(project: Path, redis_url: str) -> None:
    # A fifth of a second is right for a service, and shorter than a loaded machine may stand still.
    environ = {"APP_REDIS_URL": redis_url, "APP_REDIS_TIMEOUT": "2"}
    with running(project, environ=environ) as service, running(project, environ=environ) as other:
        assert "within 1 seconds" in get(service, "/probe/hang/too").json()["detail"]
        done = run_to_end(project, "routes", "promote", "GET /probe/hang/too", "--why", "a good week", environ=environ)
        assert 'To make it last, write stage = "active" at policy.toml:' in done.stdout
        for each in (service, other):
            each.lines(event="route_order", act="promote")
        with ThreadPoolExecutor(2) as pool:
            told = pool.map(lambda each: get(each, "/probe/hang/too").json()["detail"], (service, other))
            assert list(told) == ["The request did not end within 2 seconds."] * 2
        said = run_to_end(project, "evidence", "GET /probe/hang/too", "--no-gate", environ=environ).stdout
        assert re.search(r"  stage         probation \(policy\.toml:\d+\), active by a person's word\n", said)


def test_routes_shows_what_people_have_said_and_a_promotion_outlives_what_is_said_later(project: Path) -> None:
    route, environ = "GET /probe/hang/too", {"APP_ROUTES_PATH": "acts"}

    def say(act: str, by: str) -> None:
        assert (
            run_to_end(project, "routes", act, route, "--why", "it is so", "--by", by, environ=environ).returncode == 0
        )

    def shown() -> tuple[str, str]:
        rows = json.loads(run_to_end(project, "routes", "--format", "json", environ=environ).stdout)
        (row,) = [row for row in rows if f"{row['method']} {row['path']}" == route]
        return row["stage"], row["stage_source"]

    assert shown()[0] == "probation"
    say("promote", "carol")
    stage, source = shown()
    assert stage == "active"
    assert re.fullmatch(r"promoted by carol, 20\S+ \S+Z: it is so; policy\.toml:\d+ says probation", source)
    say("quarantine", "ann")
    stage, source = shown()
    assert stage == "quarantined"
    assert re.match(r"quarantined by ann, .*: it is so; promoted by carol, ", source)
    assert f"{route}: quarantined: quarantined by ann" in run_to_end(project, "routes", environ=environ).stdout
    say("release", "ann")
    assert shown()[0] == "active"
    with running(project, environ=environ) as service:
        assert "within 2 seconds" in wait_for_detail(service, "within 2 seconds")


def wait_for_detail(service: Service, wanted: str) -> str:
    """Ask until a process that has just begun has looked for people's words; return what it says at the end."""
    for _ in range(5):
        said = str(get(service, "/probe/hang/too").json()["detail"])
        if wanted in said:
            break
    return said


def test_routes_shows_the_policy_where_people_s_words_cannot_be_read(project: Path) -> None:
    done = run_to_end(project, "routes", environ={"APP_ROUTES_PATH": "pyproject.toml/routes"})
    assert done.returncode == 0
    assert "/probe/hang/too" in done.stdout
    assert "what people said since cannot be read" in done.stderr


def test_a_store_that_is_away_is_a_degraded_mode(project: Path) -> None:
    with running(project, environ={"APP_ROUTES_PATH": "pyproject.toml/routes"}) as service:
        get(service, "/probe/span")
        service.lines(event="route_control", state="unavailable")
        routes = httpx2.get(f"{service.url}/readyz").json()["checks"]["routes"]
        assert (routes["state"], routes["control"]) == ("degraded", "unavailable")
        assert httpx2.get(f"{service.url}/readyz").status_code == 200

"""A service that is asked for too much, or whose handlers misbehave, keeps serving the others; over a real socket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.guards.probes import is_problem
from tests.support.otlp_receiver import OtlpReceiver, Value, plain
from tests.support.service import Service, copy_project, drop_in, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    drop_in(folder, "unruly")
    return folder


@pytest.fixture(scope="module")
def service(project: Path, receiver: OtlpReceiver) -> Iterator[Service]:
    with running(project, environ={"APP_THREADS": "8"}, telemetry=receiver) as started:
        yield started


def test_a_handler_that_holds_the_loop_is_named_with_its_stack(service: Service, receiver: OtlpReceiver) -> None:
    assert httpx2.get(f"{service.url}/unruly/spin?seconds=0.6", timeout=20).status_code == 200
    (line,) = service.lines(event="event_loop_blocked", entry="GET /unruly/spin")
    assert (line["level"], line["entry"]) == ("error", "GET /unruly/spin")
    assert any("handlers/unruly.py" in frame and frame.endswith(" busy") for frame in line["stack"])
    (over,) = service.lines(event="event_loop_free", entry="GET /unruly/spin")
    assert over["entry"] == "GET /unruly/spin"
    assert over["seconds"] >= 0.5
    (check,) = [httpx2.get(f"{service.url}/readyz").json()["checks"]["event_loop"]]
    assert check["state"] == "ok"
    assert 0.5 <= check["blocked_seconds"] < 5

    def counted() -> set[Value]:
        blocks = receiver.metrics().get("breakwater.event_loop.blocks")
        return {plain(point.attributes)["route"] for point in blocks.sum.data_points} if blocks is not None else set()

    receiver.wait_for(lambda: "GET /unruly/spin" in counted())


def test_a_service_that_stands_still_too_often_is_not_ready(project: Path) -> None:
    with running(project) as service:
        for _ in range(2):
            httpx2.get(f"{service.url}/unruly/sleep?seconds=2.6", timeout=20)
        service.lines(event="event_loop_free", entry="GET /unruly/sleep", count=2)
        answer = httpx2.get(f"{service.url}/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["event_loop"]["state"] == "unavailable"
        assert httpx2.get(f"{service.url}/livez").status_code == 200


def test_synchronous_handlers_that_hang_leave_threads_for_others(service: Service) -> None:
    """Of eight threads one route gets two; its callers are answered, the threads stay taken, and others have theirs."""
    with ThreadPoolExecutor(12) as pool, httpx2.Client(timeout=20) as client:
        hanging = list(pool.map(lambda _: client.get(f"{service.url}/unruly/stuck"), range(12)))
        statuses = [answer.status_code for answer in hanging]
        assert statuses.count(504) == 2
        assert statuses.count(503) == 10
        busy = next(answer for answer in hanging if answer.status_code == 503)
        is_problem(busy, 503, "overloaded")
        assert busy.headers["retry-after"] == "1"
        headers = service.bearer("writer")
        assert [client.get(f"{service.url}/probe/thread", headers=headers).status_code for _ in range(5)] == [200] * 5
        client.post(f"{service.url}/unruly/let-go")


def test_a_synchronous_handler_is_called_as_it_was_written(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/unruly/sum", params={"left": "2", "right": "3"})
    assert answer.json() == {"sum": 5}
    assert httpx2.get(f"{service.url}/unruly/sum", params={"left": "x", "right": "3"}).status_code == 422
    operation = httpx2.get(f"{service.url}/openapi.json").json()["paths"]["/unruly/sum"]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["left", "right"]
    assert operation["description"] == "Add two numbers."


def test_who_is_turned_away_at_the_edge_is_counted_by_route(project: Path) -> None:
    """Ten at a time, of which unknown callers may fill eight; the ninth waits for a place, and for nothing."""
    environ = {"APP_MAX_IN_FLIGHT": "10"}
    with running(project, environ=environ) as small, ThreadPoolExecutor(8) as pool, httpx2.Client(timeout=20) as client:
        hanging = [pool.submit(client.get, f"{small.url}/unruly/hang") for _ in range(8)]
        answers = [client.get(f"{small.url}/unruly/fine")]
        while answers[-1].status_code == 200:  # until all eight have arrived
            answers.append(client.get(f"{small.url}/unruly/fine"))
        is_problem(answers[-1], 503, "overloaded")
        assert [each.result().status_code for each in hanging] == [504] * 8
        assert httpx2.get(f"{small.url}/unruly/fine").status_code == 200
        small.stop()
    said = run_to_end(project, "evidence", "GET /unruly/fine", "--no-gate").stdout
    assert "  shed          1\n" in said


def test_the_load_is_exported(service: Service, receiver: OtlpReceiver) -> None:
    assert httpx2.get(f"{service.url}/livez").status_code == 200
    assert {"breakwater.load", "breakwater.threads"} <= set(receiver.metrics_from_now())


def test_a_cancellation_that_nobody_asked_for_is_the_handlers_failure(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/unruly/stray")
    is_problem(answer, 500, "internal_error")  # without it: 503 shutting_down, which no budget counts
    (line,) = service.lines(event="unhandled_exception", request_id=answer.headers["x-request-id"])
    assert "StrayCancellation" in str(line["exception"])

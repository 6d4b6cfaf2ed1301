"""One line a request and one trace through it, with nothing in either that must not be there."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service import Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2-correct-horse"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLW9mLXRoaXM"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("observed"))


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def service(project: Path, receiver: OtlpReceiver) -> Iterator[Service]:
    with running(project, environ={"APP_TRACE_SAMPLE_RATIO": "1"}, telemetry=receiver) as started:
        yield started


def request_line(service: Service, answer: httpx2.Response) -> dict[str, object]:
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="request")
    return line


def test_secrets_in_headers_query_and_arguments_do_not_reach_a_line(service: Service) -> None:
    headers = {**service.bearer("writer"), "x-api-key": SECRET, "cookie": f"session={SECRET}"}
    answer = httpx2.get(f"{service.url}/probe/logs?password={SECRET}&name={TOKEN}", headers=headers)
    assert answer.status_code == 200
    request_id = answer.headers["x-request-id"]
    lines = service.lines(request_id=request_id, count=4)
    assert [line["logger"] for line in lines] == [
        "app.handlers.probe",
        "app.handlers.probe.child",
        "probe",
        "app.request",
    ]
    text = json.dumps(lines)
    assert SECRET not in text
    assert TOKEN not in text
    assert service.token("writer") not in text


def test_a_secret_in_an_exceptions_text_reaches_neither_line_nor_span(service: Service, receiver: OtlpReceiver) -> None:
    answer = httpx2.get(f"{service.url}/probe/crash", headers=service.bearer("writer"))
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="unhandled_exception")
    assert "RuntimeError" in json.dumps(line)
    assert "hunter2" not in json.dumps(line)
    span = receiver.span("GET /probe/crash")
    assert "hunter2" not in str(span)


def test_a_crash_is_logged_with_where_it_happened(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/probe/crash", headers=service.bearer("writer"))
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="unhandled_exception")
    assert "probe.py" in json.dumps(line)
    assert request_line(service, answer)["status"] == 500


def test_control_characters_cannot_forge_a_line(service: Service) -> None:
    forged = '{"event":"request","status":200,"caller":"admin"}'
    with socket.create_connection(("127.0.0.1", service.port), 5) as peer:
        path = "/" + "".join(f"%{ord(character):02x}" for character in f"\r\n{forged}\u2028".encode().decode("latin-1"))
        peer.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nuser-agent: a\x1b[31m\r\nconnection: close\r\n\r\n".encode())
        answer = peer.recv(4096)
    assert b" 404 " in answer or b" 400 " in answer
    hostile = {"name": f"x\n{forged}\r\x1b[2J"}
    logged = httpx2.get(f"{service.url}/probe/logs", params=hostile, headers=service.bearer("writer"))
    service.lines(event="signing in", logger="probe", request_id=logged.headers["x-request-id"])
    # The command's own line comes before there is a log.
    assert all(line.startswith("{") for line in service.output if not line.startswith("database migrated: "))
    assert [line for line in service.parsed() if line.get("caller") == "admin"] == []


def test_an_inbound_request_id_is_kept_if_it_is_harmless(service: Service) -> None:
    kept = httpx2.get(f"{service.url}/livez", headers={"x-request-id": "order-7f3a.b_c"})
    assert kept.headers["x-request-id"] == "order-7f3a.b_c"
    for hostile in (b"short", b"a" * 65, b"with space here", b"semi;colon;here", "ünïcödé-identifier".encode()):
        answer = httpx2.get(f"{service.url}/livez", headers=[(b"x-request-id", hostile)])
        assert len(answer.headers["x-request-id"]) == 32


def test_a_refusal_says_in_the_log_what_it_does_not_say_to_the_client(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/probe/items/1", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.json()["code"] == "unauthenticated"
    assert request_line(service, answer)["reason"] == "token_unverified"


def test_a_handlers_own_span_belongs_to_the_request(service: Service, receiver: OtlpReceiver) -> None:
    answer = httpx2.get(f"{service.url}/probe/span", headers=service.bearer("writer"))
    trace = answer.headers["traceparent"].split("-")[1]
    assert answer.json() == {"trace": trace}
    work, request = receiver.span("work"), receiver.span("GET /probe/span")
    assert work.trace_id.hex() == request.trace_id.hex() == trace
    assert work.parent_span_id == request.span_id


def test_boot_logs_what_stands_in_front_of_what(service: Service) -> None:
    (line,) = service.lines(event="composed")
    names = [
        "stage",
        "deadline",
        "body_limit",
        "authentication",
        "authorization",
        "rate_limit",
        "unit_of_work",
        "idempotency",
    ]
    assert line["guards"] == [*names, "outbound", "containment"]
    routes = service.lines(event="route", count=line["routes"])
    assert {"POST /probe/echo", "GET /livez"} <= {f"{route['method']} {route['path']}" for route in routes}


@pytest.mark.parametrize("kind", ["down", "slow"])
def test_a_collector_that_is_down_or_slow_does_not_slow_a_request(project: Path, kind: str) -> None:
    with OtlpReceiver() as collector:
        if kind == "slow":
            collector.hold()
            endpoint = collector.endpoint
        else:
            endpoint = "http://127.0.0.1:9"  # the discard port, where nobody listens
        settings = {
            "APP_TRACE_SAMPLE_RATIO": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BSP_MAX_QUEUE_SIZE": "16",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
        }
        with running(project, environ=settings) as service, httpx2.Client(timeout=8.0) as client:
            bearer = service.bearer("writer")
            for _ in range(200):
                assert client.get(f"{service.url}/probe/items/1", headers=bearer).status_code == 200
            status = service.stop()
        if kind == "slow":
            collector.release()
    assert status == 0

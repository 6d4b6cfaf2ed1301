"""One probe a guard: it passes when the guard fires, and fails when the guard is not there.

Each talks to a running service over a real socket. ``test_guards.py`` runs every probe twice: against the service as
it is, and against one that was composed without the guard in question, where the probe must fail.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from tests.support.service import Service

Probe = Callable[["Service"], None]
EDGE: dict[str, Probe] = {}
GUARDS: dict[str, Probe] = {}


def _edge(probe: Probe) -> Probe:
    EDGE[probe.__name__] = probe
    return probe


def _guard(probe: Probe) -> Probe:
    GUARDS[probe.__name__] = probe
    return probe


def is_problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]


@_edge
def request_log(service: Service) -> None:
    """One line per request, with its id, its route and who called."""
    answer = httpx2.get(f"{service.url}/probe/items/7?token=hunter2", headers=service.bearer("writer"))
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="request")
    expected = {"method": "GET", "route": "/probe/items/{number}", "status": 200, "caller": "alice"}
    assert {name: line[name] for name in expected} == expected
    assert "hunter2" not in json.dumps(line)


@_edge
def tracing(service: Service) -> None:
    """The trace context comes in, goes out, and is in the log."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = httpx2.get(f"{service.url}/livez", headers=headers)
    assert answer.headers["traceparent"].split("-")[1] == trace
    (line,) = service.lines(request_id=answer.headers["x-request-id"], event="request")
    assert line["trace_id"] == trace


@_edge
def metrics(service: Service) -> None:
    """Requests are counted by route and status, and exported."""
    for _ in range(3):
        answer = httpx2.get(f"{service.url}/probe/items/7", headers=service.bearer("writer"))
        service.lines(request_id=answer.headers["x-request-id"], event="request")
    assert service.exported_count("http.server.request.duration", route="/probe/items/{number}", status=200) >= 3


@_edge
def security_headers(service: Service) -> None:
    """Every answer forbids the browser everything, refusals included."""
    for path in ("/livez", "/nowhere", "/probe/limited"):
        headers = httpx2.get(f"{service.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")


@_edge
def cors(service: Service) -> None:
    """A configured origin may read answers, another may not."""
    allowed = httpx2.get(f"{service.url}/livez", headers={"origin": "https://app.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    stranger = httpx2.get(f"{service.url}/livez", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


@_edge
def problem_details(service: Service) -> None:
    """What breaks in a handler becomes a problem that says nothing about it; so does what no route answers."""
    is_problem(httpx2.get(f"{service.url}/nowhere"), 404, "not_found")
    answer = httpx2.get(f"{service.url}/probe/crash", headers=service.bearer("writer"))
    is_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text


@_edge
def flood_limit(service: Service) -> None:
    """An address that floods is refused before it is looked at."""
    statuses = [httpx2.get(f"{service.url}/nowhere").status_code for _ in range(service.flood + 1)]
    assert 429 in statuses
    assert httpx2.get(f"{service.url}/livez").status_code == 200


@_edge
def load_shedding(service: Service) -> None:
    """What cannot be served is told so at once; a probe is answered all the while."""
    headers = service.bearer("writer")
    with ThreadPoolExecutor(24) as pool, httpx2.Client(timeout=10, limits=httpx2.Limits(max_connections=30)) as client:
        hang = [f"{service.url}/probe/hang", f"{service.url}/probe/hang/too"] * 12  # a route may have half of the limit
        hanging = [pool.submit(client.get, url, headers=headers) for url in hang]
        answers = []
        while not all(future.done() for future in hanging):
            answers.append(client.get(f"{service.url}/probe/open"))
            assert client.get(f"{service.url}/livez").status_code == 200
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    is_problem(refused[0], 503, "overloaded")
    assert refused[0].headers["retry-after"] == "1"
    assert client.is_closed
    assert {future.result().status_code for future in hanging} == {503, 504}


@_guard
def stage(service: Service) -> None:
    """A route on probation that is kept from something is out of service; the others are not."""
    headers = service.bearer("writer")
    url = f"{service.url}/probe/trial"
    assert httpx2.get(url, headers=headers).status_code == 200
    is_problem(httpx2.get(url, params={"path": "/etc/passwd"}, headers=headers), 500, "internal_error")
    answer = httpx2.get(url, headers=headers)
    is_problem(answer, 503, "route_quarantined")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert httpx2.get(f"{service.url}/probe/open").status_code == 200
    routes = httpx2.get(f"{service.url}/readyz").json()["checks"]["routes"]
    assert (routes["state"], routes["quarantined"]) == ("degraded", ["GET /probe/trial"])


@_guard
def deadline(service: Service) -> None:
    """A handler that hangs is cut, and its caller told."""
    started = time.monotonic()
    answer = httpx2.get(f"{service.url}/probe/hang", headers=service.bearer("writer"), timeout=3)
    is_problem(answer, 504, "deadline_exceeded")
    assert time.monotonic() - started < 3


@_guard
def body_limit(service: Service) -> None:
    """A body past the bound is refused, whatever it declares; so is one that nests too deep."""

    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 100

    bearer = service.bearer("writer")
    is_problem(httpx2.post(f"{service.url}/probe/echo", content=chunks(), headers=bearer), 413, "body_too_large")
    is_problem(httpx2.post(f"{service.url}/probe/echo", content=b"x" * 1001, headers=bearer), 413, "body_too_large")
    json_headers = {**bearer, "content-type": "application/json"}
    deep = b"[" * 33 + b"]" * 33
    is_problem(httpx2.post(f"{service.url}/probe/json", content=deep, headers=json_headers), 400, "body_too_deep")


@_guard
def authentication(service: Service) -> None:
    """Without a valid token nobody gets in, and the body is not even looked at."""
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic YTpi"}):
        answer = httpx2.post(f"{service.url}/probe/echo", content=b"{malformed", headers=headers)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="api"')


@_guard
def authorization(service: Service) -> None:
    """A role without the permission is refused, without a word about why."""
    answer = httpx2.post(f"{service.url}/probe/echo", content=b"{malformed", headers=service.bearer("reader"))
    is_problem(answer, 403, "forbidden")
    assert "probe:write" not in answer.text


@_guard
def rate_limit(service: Service) -> None:
    """A caller is held to the route's rate, and told when to come back; others are not."""
    url = f"{service.url}/probe/limited"
    answers = [httpx2.get(url, headers=service.bearer("writer", subject="eager")) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    is_problem(answers[-1], 429, "rate_limited")
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert httpx2.get(url, headers=service.bearer("writer", subject="patient")).status_code == 200


@_guard
def unit_of_work(service: Service) -> None:
    """What a handler wrote is there after a success, and only then."""
    url, headers = f"{service.url}/probe/notes", service.bearer("writer", subject="uma")
    assert httpx2.put(url, params={"text": "kept"}, headers=headers).status_code == 200
    keyed = {**headers, "idempotency-key": "unit-of-work"}
    assert httpx2.post(url, params={"text": "lost", "then": "fail"}, headers=keyed).status_code == 409
    is_problem(httpx2.post(url, params={"text": "lost", "then": "commit"}, headers=keyed), 500, "internal_error")
    assert httpx2.get(url, headers=headers).json() == {"notes": ["kept"]}


@_guard
def idempotency(service: Service) -> None:
    """A request without a key is refused; one that is sent again is answered again, and not done again."""
    url, headers = f"{service.url}/probe/notes", service.bearer("writer", subject="ida")
    is_problem(httpx2.post(url, params={"text": "a"}, headers=headers), 400, "idempotency_key_missing")
    keyed = {**headers, "idempotency-key": "guard"}
    first, second = (httpx2.post(url, params={"text": "a"}, headers=keyed) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["idempotent-replayed"] == "true"
    is_problem(httpx2.post(url, params={"text": "b"}, headers=keyed), 422, "idempotency_key_reused")
    assert httpx2.get(url, headers=headers).json() == {"notes": ["a"]}


@_guard
def outbound(service: Service) -> None:
    """A service behind this one is reached where the policy says so, and from nowhere else."""
    headers = service.bearer("reader")
    is_problem(httpx2.get(f"{service.url}/probe/payments", headers=headers), 503, "upstream_unavailable")
    is_problem(httpx2.get(f"{service.url}/probe/payments/sideways", headers=headers), 500, "internal_error")


@_guard
def containment(service: Service) -> None:
    """A handler that is talked into opening a file, or a shell, does not; its caller learns nothing by it."""
    headers = service.bearer("writer")
    answer = httpx2.get(f"{service.url}/probe/files", params={"path": "/etc/passwd"}, headers=headers)
    is_problem(answer, 500, "internal_error")
    (line,) = service.lines(event="containment_refused", entry="GET /probe/files")
    assert (line["kind"], line["refused"], line["argument"]) == ("file_read", "open", "/etc/passwd")
    assert (
        httpx2.get(f"{service.url}/probe/files", params={"path": "app/errors.py"}, headers=headers).status_code == 200
    )

"""Every guard fires over a real socket, and is missed when it is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from app.main import EDGE, GUARDS
from tests.guards import probes
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service import Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOOD = 60
"""Requests per minute in the service that is flooded: few, so that the probe is short."""

ALL = {**probes.EDGE, **probes.GUARDS}
SETTINGS = {
    "APP_CORS_ORIGINS": "https://app.example",
    "APP_PAYMENTS_URL": "http://127.0.0.1:9",
    "APP_MAX_IN_FLIGHT": "20",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


@pytest.fixture(scope="module")
def service(project: Path, receiver: OtlpReceiver) -> Iterator[Service]:
    with running(project, environ=SETTINGS, telemetry=receiver) as started:
        yield started


def test_there_is_a_probe_for_every_layer_and_guard() -> None:
    assert [layer.name for layer in EDGE] == list(probes.EDGE)
    assert [guard.name for guard in GUARDS] == list(probes.GUARDS)


@pytest.mark.parametrize("name", [name for name in ALL if name != "flood_limit"])
def test_the_guard_fires(name: str, service: Service) -> None:
    ALL[name](service)


def test_the_flood_limit_fires(project: Path) -> None:
    with running(project, flood=FLOOD) as flooded:
        probes.flood_limit(flooded)


def test_the_same_subject_of_another_tenant_has_a_rate_of_its_own(service: Service) -> None:
    def ask(tenant: str | None) -> list[int]:
        headers = service.bearer("reader", subject="head", tenant=tenant)
        return [httpx2.get(f"{service.url}/probe/limited", headers=headers).status_code for _ in range(4)]

    assert [ask(tenant) for tenant in (None, "acme", "globex")] == [[200, 200, 200, 429]] * 3


@pytest.mark.parametrize(
    ("origin", "method", "said"),
    [
        ("https://evil.example", "GET", "Disallowed CORS origin"),
        ("https://app.example", "TRACE", "Disallowed CORS method"),
    ],
)
def test_a_preflight_that_is_refused_is_a_problem(service: Service, origin: str, method: str, said: str) -> None:
    asked = {"origin": origin, "access-control-request-method": method}
    answer = httpx2.options(f"{service.url}/probe/open", headers=asked)
    probes.is_problem(answer, 400, "bad_request")
    assert answer.json()["detail"] == said


OFTEN = {"rate_limit"}
"""Taken out with every run; all the others with ``--wide``: each is a whole service that is started."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.wide) for name in ALL])
def test_the_guard_is_missed_when_it_is_taken_out(name: str, project: Path) -> None:
    with (
        OtlpReceiver() as fresh,
        running(
            project, environ=SETTINGS, without=name, telemetry=fresh, flood=FLOOD if name == "flood_limit" else None
        ) as bare,
        pytest.raises((AssertionError, KeyError, ValueError, httpx2.HTTPError)),
    ):
        ALL[name](bare)


def test_a_request_leaves_nothing_for_the_garbage_collector(service: Service) -> None:
    """What holds itself in a circle through the guards is kept, with all that it read, until somebody collects it."""
    headers = service.bearer("writer", subject="tidy")

    def left(client: httpx2.Client) -> int:
        count: int = client.get("/probe/garbage").json()["left"]
        return count

    with httpx2.Client(base_url=service.url, headers=headers) as client:
        left(client)
        for number in range(50):
            assert client.get(f"/probe/items/{number}").json() == {"number": number}
            assert client.post("/probe/json", json=[number]).json() == {"members": 1}
        # Other threads of the process leave a hundred or so meanwhile; the smallest circle through a guard left 850.
        assert left(client) < 400

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

"""A rate is attacked as a rate, and stands in no other attack's way: what may seldom be called is attacked like all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.gauntlet.attack import CannotTell
from tests.gauntlet.attacks_identity import past_the_rate
from tests.gauntlet.candidates import dropped
from tests.gauntlet.run import RouteResult, run_gauntlet
from tests.gauntlet.world import Call, Route

if TYPE_CHECKING:
    from pathlib import Path

ONCE_A_DAY = "POST /v1/candidates/reports"
PUBLIC = "POST /v1/candidates/greetings"


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    return dropped(tmp_path_factory.mktemp("rare"), "rare")


@pytest.fixture(scope="module")
def results(handlers: tuple[Path, set[str]]) -> dict[str, RouteResult]:
    folder, routes = handlers
    return {result.name: result for result in run_gauntlet(only=routes, candidates=folder)}


def test_a_route_that_may_seldom_be_called_holds(results: dict[str, RouteResult]) -> None:
    assert [f"{result.name}: {fault.rule} {fault.text}" for result in results.values() for fault in result.faults] == []


def test_every_attack_is_made_on_it(results: dict[str, RouteResult]) -> None:
    for result in results.values():
        assert set(result.outcomes.values()) <= {"ok", "-"}, result
    keyed = {"no key", "a key again", "a key at once", "many at once", "a client that leaves", "past the rate"}
    for name in (ONCE_A_DAY, PUBLIC):
        assert {results[name].outcomes[attack] for attack in keyed} == {"ok"}


def test_a_rate_that_is_not_kept_is_found_on_a_public_route_too(handlers: tuple[Path, set[str]]) -> None:
    folder, routes = handlers
    found = run_gauntlet(only=routes, candidates=folder, attacks={"past the rate"}, without="rate_limit")
    assert {result.name: result.outcomes["past the rate"] for result in found} == dict.fromkeys(routes, "fault")


def test_a_machine_too_slow_for_a_rate_accuses_nobody() -> None:
    route = Route({"method": "GET", "path": "/", "public": False, "rate": [3, 0.0]}, {})
    world: Any = SimpleNamespace(
        examples={route.name: Call(route)},
        subject=lambda what: what,
        send=lambda *_arguments, **_options: httpx2.Response(200),
    )
    with pytest.raises(CannotTell, match="4 requests take longer than the 0 s of its rate"):
        list(past_the_rate(world, route))

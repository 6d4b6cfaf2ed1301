"""Every route of this service holds."""

from __future__ import annotations

import pytest

from tests.gauntlet.attack import ATTACKS
from tests.gauntlet.run import SLOW, RouteResult, run_gauntlet


@pytest.fixture(scope="module")
def results() -> list[RouteResult]:
    return run_gauntlet()


def test_every_route_holds(results: list[RouteResult]) -> None:
    assert [f"{result.name}: {fault.rule} {fault.text}" for result in results for fault in result.faults] == []


def test_no_attack_is_passed_over_in_silence(results: list[RouteResult]) -> None:
    for result in results:
        assert result.outcomes.keys() == {attack.name for attack in ATTACKS.attacks} | {SLOW}
        assert {"ok", "the route is closed"} & set(result.outcomes.values())

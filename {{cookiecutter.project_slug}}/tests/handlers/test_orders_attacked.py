"""The example under attack: every attack can be made on it, and a guard that is missing does not go unnoticed."""

from __future__ import annotations

import pytest

from tests.gauntlet.mutations import guards, naming
from tests.gauntlet.report import not_made
from tests.gauntlet.run import run_gauntlet

ROUTES = {"POST /v1/orders", "GET /v1/orders/{order_id}", "POST /v1/orders/{order_id}/cancel"}


@pytest.mark.wide
def test_every_attack_can_be_made_on_the_example() -> None:
    effects = {"a key again", "somebody elses object", "an exception", "no database", "past each bound"}
    results = run_gauntlet(only=ROUTES, attacks=effects)
    assert {result.name for result in results} == ROUTES
    assert [said for result in results for said in not_made(result)] == []


OFTEN = {"authorization"}
"""Left out with every run; all the others with ``--wide``, because each attack on a whole service takes seconds."""


@pytest.mark.parametrize(
    "guard", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.wide) for name in guards()]
)
def test_a_guard_that_is_missing_is_noticed_and_named(guard: str) -> None:
    assert naming(guard, {"POST /v1/orders"})

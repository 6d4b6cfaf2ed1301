"""The same attacks on PostgreSQL: other locks, other errors, row security, and writers that really run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.gauntlet.candidates import dropped
from tests.gauntlet.run import RouteResult, run_gauntlet
from tests.support.wide import is_wide

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres_server import PostgresServer

OF_THE_DATABASE: Final = {
    *("somebody elses object", "no key", "a key again", "a key at once", "many at once", "a client that leaves"),
    *("an exception", "no database", "a handler that hangs", "at each bound", "hostile strings", "unknown fields"),
    *("broken form", "broken parts", "a form that is cut"),
}
"""What the database has a say in: whose a row is, who waits for whom, what is taken back, which values it stores.

The others are decided before a connection is taken (tokens, roles, rates, bounds) or beside it (headers, logs, spans),
by the same code on either database; test_gauntlet.py makes them on SQLite, and ``--wide`` makes them here too.
"""

ATTACKS: Final = None if is_wide() else OF_THE_DATABASE
SOUND: Final = {
    "POST /v1/candidates/steadies",
    "GET /v1/candidates/steadies/{steady_id}",
    "POST /v1/candidates/sound-forms",
    "GET /v1/candidates/sound-forms/{form_id}",
}
RACING: Final = "POST /v1/candidates/racings"
LEAKY: Final = "GET /v1/candidates/leakies/{leaky_id}"
TWICE: Final = "POST /v1/candidates/leakies"


def said_of(result: RouteResult) -> list[str]:
    return [f"{result.name}: {fault.rule} {fault.text}" for fault in result.faults]


def test_every_route_holds(postgres: PostgresServer) -> None:
    results = run_gauntlet(attacks=ATTACKS, postgres=postgres)
    assert [said for result in results for said in said_of(result)] == []


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dropped(tmp_path_factory.mktemp("candidates"), "forms", "keepers")[0]


@pytest.fixture(scope="module")
def results(postgres: PostgresServer, handlers: Path) -> dict[str, RouteResult]:
    only = {*SOUND, RACING, LEAKY}
    found = run_gauntlet(only=only, candidates=handlers, attacks=ATTACKS, postgres=postgres)
    return {result.name: result for result in found}


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_handler_that_leaves_it_to_the_database_holds(results: dict[str, RouteResult], name: str) -> None:
    assert said_of(results[name]) == []
    assert {"no key", "a key at once"} <= results[name].outcomes.keys()
    assert set(results[name].outcomes.values()) <= {"ok", "-"}


def test_a_handler_that_gives_away_what_it_remembers_is_found(results: dict[str, RouteResult]) -> None:
    assert any("BW703 somebody else's object" in said for said in said_of(results[LEAKY])), results[LEAKY]


def test_a_race_that_only_writers_at_once_can_lose_is_found(results: dict[str, RouteResult]) -> None:
    assert any("one more, after" in said and "a 500" in said for said in said_of(results[RACING])), results[RACING]


def test_a_service_that_keeps_no_keys_is_found(postgres: PostgresServer, handlers: Path) -> None:
    keys = {"a key again", "a key at once"}
    (result,) = run_gauntlet(only={TWICE}, candidates=handlers, attacks=keys, without="idempotency", postgres=postgres)
    assert {attack for attack, outcome in result.outcomes.items() if outcome == "fault"} == keys
    assert any("had a second effect" in said for said in said_of(result)), result

"""Makes every attack on every route, and keeps what came of each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from tests.gauntlet import (
    attacks_effects,
    attacks_forms,
    attacks_identity,
    attacks_input,
    attacks_inside,
    attacks_ownership,
    attacks_upstreams,
)
from tests.gauntlet.attack import ATTACKS, CannotTell, Fault
from tests.gauntlet.attacks_service import attack_service
from tests.gauntlet.attacks_slow import SlowClients
from tests.gauntlet.attacks_traces import tokens_in_the_log
from tests.gauntlet.service import target
from tests.gauntlet.values import NoValue
from tests.gauntlet.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.gauntlet.world import Route
    from tests.support.postgres_server import PostgresServer

__all__ = [
    "RouteResult",
    "attacks_effects",
    "attacks_forms",
    "attacks_identity",
    "attacks_input",
    "attacks_inside",
    "attacks_ownership",
    "attacks_upstreams",
    "run_gauntlet",
]

SLOW = "slow client"


@dataclass
class RouteResult:
    """What came of one route.

    Attributes:
        name: method and path.
        file: of its handler.
        line: of its handler.
        outcomes: attack -> ``ok``, ``fault``, ``-`` where there is nothing to attack, or why it could not be made.
        faults: what was found.
        requests: how many were sent.
    """

    name: str
    file: str
    line: int
    outcomes: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "route": self.name,
            "file": self.file,
            "line": self.line,
            "outcomes": self.outcomes,
            "faults": [{"rule": fault.rule, "text": fault.text} for fault in self.faults],
            "requests": self.requests,
        }


def run_gauntlet(
    *,
    only: set[str] | None = None,
    without: str | None = None,
    candidates: Path | None = None,
    attacks: set[str] | None = None,
    postgres: PostgresServer | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> list[RouteResult]:
    """Start the service, attack its routes, and return what came of each.

    Args:
        only: routes to attack, as ``GET /v1/orders``; None: all but the scaffold's own.
        without: a layer or guard to leave out.
        candidates: a folder with handlers that are not among the service's.
        attacks: names of attacks to make; None: all.
        postgres: a server for its database; None: it has a file.
        progress: told of each route.

    Raises:
        DidNotStart: the service does not start.
    """
    with target(without=without, candidates=candidates, postgres=postgres) as running:
        world = World(running, only)
        with contextlib.closing(world):
            results = _attack_all(world, attacks, progress)
            faults = list(tokens_in_the_log(world))
    if results:
        results[0].faults += [*faults, *attack_service(only, without, candidates, attacks)]
    return results


def _attack_all(world: World, attacks: set[str] | None, progress: Callable[[str], None]) -> list[RouteResult]:
    world.prime()
    slow = SlowClients(world) if attacks is None or SLOW in attacks else None
    results = []
    for number, route in enumerate(world.routes, 1):
        result = RouteResult(route.name, route.facts["file"], route.facts["line"])
        before = len(world.sent)
        _attack(world, route, result, attacks)
        result.requests = len(world.sent) - before
        results.append(result)
        faults = f", {len(result.faults)} faults" if result.faults else ""
        progress(f"  {number}/{len(world.routes)} {route.name}: {result.requests} requests{faults}")
    for route, result in zip(world.routes, results, strict=True):
        if slow is not None:
            outcome = slow.outcome(route)
            result.outcomes[SLOW] = "fault" if isinstance(outcome, Fault) else outcome
            result.faults += [outcome] if isinstance(outcome, Fault) else []
    return results


def _attack(world: World, route: Route, result: RouteResult, attacks: set[str] | None) -> None:
    said = world.answers.get(route.name, "")
    if route.name not in world.examples and said.startswith("its example is answered with 5"):
        result.faults.append(Fault("BW707", said))
    for attack in ATTACKS.attacks:
        if attacks is not None and attack.name not in attacks:
            continue
        if not attack.applies(route):
            result.outcomes[attack.name] = "-"
            continue
        if route.closed and not attack.closed:
            result.outcomes[attack.name] = "the route is closed"
            continue
        try:
            found = list(dict.fromkeys(attack.fire(world, route)))
        except (CannotTell, NoValue) as reason:
            result.outcomes[attack.name] = str(reason) or "cannot be made"
            continue
        except httpx2.HTTPError as error:
            found = [Fault("BW707", f"{attack.name}: the service does not answer ({type(error).__name__})")]
        result.outcomes[attack.name] = "fault" if found else "ok"
        result.faults += found

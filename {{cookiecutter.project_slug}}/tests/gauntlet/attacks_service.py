"""What the service as a whole withstands: a flood of one address, and more at a time than it can serve.

Both need settings that would stand in the way of everything else, so they are made on a second, short-lived service.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.gauntlet.attack import Fault, check, code_of
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.service import target
from tests.gauntlet.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gauntlet.world import Route

FLOOD: Final = 60
"""Requests per minute and address that the second service allows."""

PLACES: Final = 10
"""Requests that it serves at a time."""

CALLERS: Final = 2 * PLACES
HELD_MS: Final = 2_000
"""Milliseconds that each of them stays, because what it asks for does not come: far longer than anybody waits."""

SHORTEST: Final = 1.0
"""Seconds of a route's timeout with which so many requests can be held at the same time on a busy machine."""

ON_THE_SERVICE: Final = {"flood": "flood_limit", "overload": "load_shedding"}
"""Attacks on the whole of it, and the guards that they show to be there."""


def attack_service(
    only: set[str] | None, without: str | None, candidates: Path | None, attacks: set[str] | None
) -> list[Fault]:
    """Start a service of its own, and return what came of these attacks.

    Args:
        only: routes that are attacked; None: all but the scaffold's own.
        without: a layer or guard to leave out.
        candidates: a folder with handlers that are not among the service's.
        attacks: names of attacks to make; None: both.

    Raises:
        DidNotStart: the service does not start.
    """
    wanted = ON_THE_SERVICE.keys() if attacks is None else ON_THE_SERVICE.keys() & attacks
    if not wanted:
        return []
    settings = {"APP_FLOOD_RATE": f"{FLOOD}/minute", "APP_MAX_IN_FLIGHT": str(PLACES)}
    with (
        target(without=without, candidates=candidates, environ=settings) as running,
        contextlib.closing(World(running, only)) as world,
    ):
        found = list(_overload(world)) if "overload" in wanted else []
        if "flood" in wanted:
            found += _flood(world)
    return found


def _overload(world: World) -> Iterator[Fault]:
    """Take every place, and more; who finds none is told at once, and the probes are answered all the while."""
    route = max((route for route in world.all_routes if not route.closed), key=_timeout, default=None)
    if route is None or _timeout(route) < SHORTEST:
        return  # whoever holds a place would give it back before the next one has come
    call = some_call(world, route)
    held = replace(call, headers={**call.headers, "x-request-timeout-ms": str(HELD_MS)})
    with ThreadPoolExecutor(CALLERS) as pool:
        waiting = [pool.submit(world.send, held, order="hang", subject=world.subject("caller")) for _ in range(CALLERS)]
        probe = world.client.get("/livez").status_code
        answers = [each.result() for each in waiting]
    refused = [answer for answer in answers if code_of(answer) == "overloaded"]
    if not refused:
        yield Fault("BW705", f"{CALLERS} at a time where {PLACES} have a place: none is refused (guard: load_shedding)")
    if probe != 200:
        yield Fault("BW705", f"an overload keeps the probes out: {probe}")
    for answer in refused:
        yield from check(answer, {503}, "BW705", "an overload", allowed=frozenset({503}))
        if not answer.headers.get("retry-after", "").isdigit():
            yield Fault("BW705", "an overload: a 503 does not say when to come back")


def _timeout(route: Route) -> float:
    return float(route.facts["timeout"])


def _flood(world: World) -> Iterator[Fault]:
    """The limit is by address, and everything here comes from one."""
    client = world.client
    statuses = [client.get("/no-such-path-of-the-gauntlet").status_code for _ in range(FLOOD + 1)]
    if 429 not in statuses:
        yield Fault("BW705", f"{FLOOD + 1} requests of one address are all looked at (guard: flood_limit)")
    elif client.get("/livez").status_code != 200:
        yield Fault("BW705", "a flood keeps the probes out")

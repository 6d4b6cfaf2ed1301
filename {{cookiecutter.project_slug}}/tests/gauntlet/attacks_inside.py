"""What stands behind the guards: what a handler may reach, what it is kept from, and what becomes of one that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.gauntlet.attack import ATTACKS, Fault, check, code_of
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.serve import ESCAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Route, World

FAILURES: Final = 60
"""Requests in a row that fail; fifty of them are enough to take any route out (``app.stages.service.ACTIVE``)."""


@ATTACKS.attack("unit_of_work", "outbound")
def what_is_within_reach(world: World, route: Route) -> Iterator[Fault]:
    answer = world.send(some_call(world, route), order="reach")
    if not answer.is_success:
        text = f"what the handler asks for cannot be handed to it: {answer.status_code} (guard: unit_of_work)"
        yield Fault("BW709", text)
        return
    reached = answer.json()
    if route.facts["session"] and not reached["session"]:
        yield Fault("BW709", "its handler asks for a database and there is none (guard: unit_of_work)")
    more = sorted(set(reached["outbound"]) - set(route.facts["outbound"]))
    less = sorted(set(route.facts["outbound"]) - set(reached["outbound"]))
    if more:
        yield Fault("BW714", f"it may call {', '.join(more)}, which its entry does not name (guard: outbound)")
    if less:
        yield Fault("BW709", f"it may not call {', '.join(less)}, which its entry names (guard: outbound)")


@ATTACKS.attack("containment")
def an_escape(world: World, route: Route) -> Iterator[Fault]:
    """A handler that was talked into it is kept from it, and its caller learns nothing by it."""
    call = some_call(world, route)
    for order in ESCAPES:
        what = f"a handler that is talked into it: {order.replace('-', ' ')}"
        answer = world.send(call, order=order)
        yield from check(answer, {500}, "BW714", f"{what} (guard: containment)", allowed=frozenset({500}))


@ATTACKS.attack("stage")
def a_handler_that_keeps_failing(world: World, route: Route) -> Iterator[Fault]:
    """It is taken out of service, and costs nobody anything until it is tried again."""
    call = some_call(world, route)
    for _ in range(FAILURES):
        answer = world.send(call, order="stage raise")
        if answer.status_code != 500:
            break
    what = f"a handler that failed {FAILURES} times in a row (guard: stage)"
    yield from check(answer, {503}, "BW709", what, allowed=frozenset({503}))
    if answer.status_code != 503:
        return
    if code_of(answer) != "route_quarantined":
        yield Fault("BW709", f"{what}: its 503 is {code_of(answer)}, not route_quarantined")
    if not answer.headers.get("retry-after", "").isdigit():
        yield Fault("BW709", f"{what}: its 503 does not say when to come back")

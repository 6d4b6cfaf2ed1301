"""The services behind a route are away, hang, fail and lie: it says so in time, and leaves nothing half done."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from app.simulators.payments import Behaviour
from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check, example_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Route, World

SIMULATED: Final = frozenset({"payments"})
"""Upstreams that have a simulator; what others would say, nobody here knows."""

MOODS: Final = {
    "down": Behaviour(mode="reset"),
    "failing": Behaviour(error_rate=1.0),
    "overloaded": Behaviour(mode="rate_limited", retry_after="9999999"),
    "lying": Behaviour(mode="html"),
    "hanging": Behaviour(mode="hang"),
}
HONEST: Final = {502, 503, 504}
GRACE: Final = 5.0
"""Seconds over a route's timeout after which its answer is late: a machine may be busy."""

RECOVERY: Final = 30.0
"""Seconds in which a route works again once the services behind it do, and no circuit keeps them apart."""


@ATTACKS.attack(applies=lambda route: bool(route.facts["outbound"]))
def upstreams(world: World, route: Route) -> Iterator[Fault]:
    unknown = sorted(set(route.facts["outbound"]) - SIMULATED)
    simulator = world.target.simulator
    if unknown or simulator is None:
        raise CannotTell(f"there is no simulator of {', '.join(unknown)}")
    if not _calls(world, route):
        raise CannotTell("its example is answered without a call to them")
    try:
        for mood, behaviour in MOODS.items():
            call, before = example_of(world, route), world.target.snapshot()
            simulator.behaviour = behaviour
            began = time.monotonic()
            answer = world.send(call, order="closed-circuits")  # or the last mood's failures would answer for it
            took = time.monotonic() - began
            simulator.behaviour = Behaviour()
            if answer.is_success and "cache-status" in answer.headers:
                continue  # it falls back, and says so
            yield from check(answer, HONEST, "BW709", f"what it calls is {mood}", allowed=frozenset(HONEST))
            if took > float(route.facts["timeout"]) + GRACE:
                yield Fault("BW708", f"what it calls is {mood}, and it answers after {took:.1f} s (guard: deadline)")
            if answer.status_code == 503 and not answer.headers.get("retry-after", "").isdigit():
                yield Fault("BW709", f"what it calls is {mood}, and its 503 does not say when to come back")
            if world.target.snapshot() != before:
                yield Fault("BW709", f"what it calls is {mood}: a request that failed left an effect")
    finally:
        simulator.behaviour = Behaviour()
    if not _works_again(world, route):
        yield Fault("BW709", f"it does not work {RECOVERY:.0f} s after what it calls does")


def _calls(world: World, route: Route) -> bool:
    """Tell whether the example leads to a call at all."""
    simulator = world.target.simulator
    assert simulator is not None
    before = simulator.requests
    world.send(example_of(world, route), key=str(uuid.uuid4()))
    return simulator.requests > before


def _works_again(world: World, route: Route) -> bool:
    end = time.monotonic() + RECOVERY
    while time.monotonic() < end:
        if world.send(example_of(world, route), key=str(uuid.uuid4()), order="closed-circuits").is_success:
            return True
        time.sleep(0.5)
    return False

"""Whose an object is: nobody else reads it, changes it, or learns that it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.gauntlet.attack import ATTACKS, Fault, check, example_of
from tests.gauntlet.attacks_effects import other_body
from tests.gauntlet.world import NO_SUCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Route, World


@ATTACKS.attack("unit_of_work", applies=lambda route: bool(route.facts["owned"]) and bool(route.parameters("path")))
def somebody_elses_object(world: World, route: Route) -> Iterator[Fault]:
    call = example_of(world, route)
    if not world.is_owned(route) and route.method != "DELETE":
        world.send(call)  # where everybody may have something, it is this that makes it
    own = world.target.snapshot()
    stranger = world.send(other_body(world, route, call) or call, subject=world.subject("stranger"))
    after = world.target.snapshot()
    if any(set(own[table]) - set(after[table]) for table in route.facts["owned"]):
        yield Fault("BW703", "a stranger changed what belongs to somebody else (guard: unit_of_work)")
    if not world.is_owned(route):  # everybody may call it on what everybody shares
        yield from check(stranger, set(), "BW703", "what everybody shares")
        return
    yield from check(stranger, {404}, "BW703", "somebody else's object (guard: unit_of_work)")
    missing = replace(call, path={name: _missing_like(value) for name, value in call.path.items()})
    nothing = world.send(missing, subject=world.subject("stranger"))
    if stranger.status_code == 404 == nothing.status_code:
        told = [{**answer.json(), "request_id": "", "instance": ""} for answer in (stranger, nothing)]
        if told[0] != told[1]:
            yield Fault("BW703", "the answer tells somebody else's object from one that does not exist")


def _missing_like(value: object) -> object:
    if isinstance(value, int):
        return 2_000_000_011
    text = str(value)
    return NO_SUCH if len(text) == 36 and text.count("-") == 4 else f"{text[:-1]}{'x' if text[-1] != 'x' else 'y'}"

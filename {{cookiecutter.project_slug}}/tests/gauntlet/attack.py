"""How an attack is declared, and what it says of a route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.gauntlet.sound import document_of, faults_of, said_of

if TYPE_CHECKING:
    import httpx2

    from tests.gauntlet.world import Call, Route, World

Fire = Callable[["World", "Route"], Iterator["Fault"]]


@dataclass(frozen=True)
class Fault:
    """What an attack found.

    Attributes:
        rule: the id that the gate gives it.
        text: what happened, in a sentence's worth.
    """

    rule: str
    text: str


class CannotTell(Exception):
    """The attack cannot be made on this route; the text says why. It is named in the table, not passed over."""


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: of its column in the table.
        guards: what it shows to be there.
        applies: whether a route has what is attacked.
        closed: whether it says something of a route that lets nobody in.
        fire: makes it, and yields what it found.
    """

    name: str
    guards: tuple[str, ...]
    applies: Callable[[Route], bool]
    closed: bool
    fire: Fire


@dataclass
class Registry:
    """Attacks in the order in which they are made."""

    attacks: list[Attack] = field(default_factory=list)

    def attack(
        self, *guards: str, applies: Callable[[Route], bool] = lambda _route: True, closed: bool = False
    ) -> Callable[[Fire], Fire]:
        """Declare the decorated function as an attack; its name is the attack's."""

        def declare(fire: Fire) -> Fire:
            self.attacks.append(Attack(fire.__name__.replace("_", " "), guards, applies, closed, fire))
            return fire

        return declare


ATTACKS = Registry()


def check(
    answer: httpx2.Response, want: set[int], rule: str, what: str, *, allowed: frozenset[int] = frozenset()
) -> Iterator[Fault]:
    """Yield what is wrong with an answer that should have one of these statuses.

    Args:
        answer: the answer.
        want: statuses that are right; empty: any below 500.
        rule: the id for another status.
        what: what was sent.
        allowed: statuses from 500 on that the attack provokes.
    """
    status = answer.status_code
    if want and status not in want:
        wanted = " or ".join(map(str, sorted(want)))
        told = f" ({said_of(answer)})" if status >= 400 else ""
        yield Fault(rule, f"{what}: {status} where {wanted} was due{told}")
        if status >= 500:
            return
    for found, text in faults_of(answer, allowed | frozenset(want)):
        yield Fault(found, f"{what}: {text}")


def code_of(answer: httpx2.Response) -> str:
    """Return the code of the problem that an answer is; empty where it is none."""
    return str(document_of(answer).get("code", ""))


def example_of(world: World, route: Route) -> Call:
    """Return a request that is answered with 2xx at this moment.

    Raises:
        CannotTell: none is known; says why.
    """
    call = world.fresh(route)
    if call is None:
        raise CannotTell(world.answers.get(route.name, "no request of its has been answered with 2xx"))
    return call

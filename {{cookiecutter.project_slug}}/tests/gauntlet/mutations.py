"""Leaves out one layer or guard of the service after the other: the gauntlet has to notice, and to name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gauntlet.attack import ATTACKS
from tests.gauntlet.attacks_service import ON_THE_SERVICE
from tests.gauntlet.run import SLOW, run_gauntlet

if TYPE_CHECKING:
    from collections.abc import Callable


def attacks_on(guard: str) -> set[str]:
    """Return the attacks that show a guard to be there."""
    found = {attack.name for attack in ATTACKS.attacks if guard in attack.guards}
    found |= {name for name, shown in ON_THE_SERVICE.items() if guard == shown}
    return found | ({SLOW} if guard == "body_limit" else set())


def naming(guard: str, only: set[str] | None) -> list[str]:
    """Return what the gauntlet says without a guard, and names the guard in."""
    results = run_gauntlet(only=only, without=guard, attacks=attacks_on(guard))
    return [
        f"{fault.rule} {result.name}: {fault.text}"
        for result in results
        for fault in result.faults
        if f"guard: {guard})" in fault.text
    ]


def guards() -> list[str]:
    """Return every layer and guard of the service."""
    from app.main import EDGE, GUARDS

    return [part.name for part in (*EDGE, *GUARDS)]


def run_mutations(only: set[str] | None, say: Callable[[str], None]) -> int:
    """Leave each out in turn, print the table, and return 0 if every absence was named."""
    lines = ["| left out | named by | first said |", "|---|---|---|"]
    missed = 0
    for guard in guards():
        found = naming(guard, only)
        missed += not found
        said = found[0].partition(": ")[2] if found else "**nobody noticed**"
        lines.append(f"| `{guard}` | {len(found)} faults | {said} |")
        say(f"without {guard}: {len(found)} faults name it")
    print("\n".join(lines))
    return 1 if missed else 0

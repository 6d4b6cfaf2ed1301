"""What came of the attacks, as a table: a line a route, and what could not be attacked by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.gauntlet.run import RouteResult


def table(results: Sequence[RouteResult]) -> str:
    """Return one line a route: how many attacks held, failed, and could not be made."""
    width = max([len(result.name) for result in results], default=5)
    lines = [f"{'route':<{width}}  held  faults  not made  requests"]
    for result in results:
        held = sum(outcome == "ok" for outcome in result.outcomes.values())
        faulty = sum(outcome == "fault" for outcome in result.outcomes.values())
        lines.append(
            f"{result.name:<{width}}  {held:>4}  {faulty:>6}  {len(list(not_made(result))):>8}  {result.requests:>8}"
        )
    return "\n".join(lines)


def not_made(result: RouteResult) -> Iterator[str]:
    """Yield the attacks that could not be made, each with its reason."""
    for attack, outcome in result.outcomes.items():
        if outcome not in {"ok", "fault", "-"}:
            yield f"{attack}: {outcome}"

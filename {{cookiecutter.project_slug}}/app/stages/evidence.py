"""What speaks for a route, or against it: counted in each process, added up over all of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BOUNDS: Final = tuple(round(0.001 * 1.5**step, 6) for step in range(24))
"""Upper bounds of the buckets in seconds: 1 ms to 11 s, each half as long again: a quantile is known to 50 %."""

ENOUGH_REQUESTS: Final = 1000
"""Requests that speak for a route: with fewer, one error in two hundred may not have been seen (e^-5)."""

WELL: Final = 0.01
"""Ratio of errors up to which a route is well: what a service of 99 % promises."""

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_UNAVAILABLE: Final = 503


@dataclass(slots=True)
class Evidence:
    """Counts of one route.

    Attributes:
        requests: that were let in.
        errors: of them, answered 5xx by the route's own fault, or not at all.
        unavailable: answered 503: something behind it was away.
        refused: answered 4xx.
        shed: turned away because too many ran in it, or because it was quarantined.
        strikes: times that it was kept from something.
        quarantines: times that it was taken out of service.
        buckets: requests by duration, see ``BOUNDS``; one more for what was longer.
    """

    requests: int = 0
    errors: int = 0
    unavailable: int = 0
    refused: int = 0
    shed: int = 0
    strikes: int = 0
    quarantines: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def ended(self, status: int, seconds: float) -> None:
        """Count a request that was let in; status 0 where none was sent."""
        self.requests += 1
        if status == _UNAVAILABLE:
            self.unavailable += 1
        elif status >= _SERVER_ERROR or status == 0:
            self.errors += 1
        elif status >= _CLIENT_ERROR:
            self.refused += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    @property
    def error_ratio(self) -> float:
        """Errors by all requests; 0 without any."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, share: float) -> float | None:
        """Return the bound in seconds under which ``share`` of the requests ended; None without any, or past all."""
        wanted, seen = share * sum(self.buckets), 0
        if not wanted:
            return None
        for bound, count in zip(BOUNDS, self.buckets, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {name: getattr(self, name) for name in _NAMES} | {"buckets": self.buckets}

    @classmethod
    def sum(cls, parts: Iterable[Mapping[str, Any]]) -> Evidence:
        """Return the sum of what several processes wrote; what is not a count is left out."""
        total = cls()
        for part in parts:
            for name in _NAMES:
                value = part.get(name)
                if isinstance(value, int):
                    setattr(total, name, getattr(total, name) + value)
            buckets = part.get("buckets")
            if isinstance(buckets, list) and len(buckets) == len(total.buckets):
                total.buckets = [mine + int(theirs) for mine, theirs in zip(total.buckets, buckets, strict=True)]
        return total


_NAMES: Final = ("requests", "errors", "unavailable", "refused", "shed", "strikes", "quarantines")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the evidence speaks for promotion.

    Attributes:
        against: what does not, one sentence each; empty if nothing.
    """

    against: tuple[str, ...]

    @property
    def speaks_for_it(self) -> bool:
        """True if nothing speaks against it."""
        return not self.against


def verdict(evidence: Evidence, *, admitted: bool | None) -> Verdict:
    """Judge the evidence of a route.

    Args:
        evidence: of all processes.
        admitted: what the gate says of its handler; None if it was not asked.
    """
    against = []
    if evidence.requests < ENOUGH_REQUESTS:
        against.append(f"{evidence.requests} requests are fewer than {ENOUGH_REQUESTS}")
    if evidence.error_ratio > WELL:
        against.append(f"{evidence.error_ratio:.1%} errors are more than {WELL:.0%}")
    if evidence.strikes:
        against.append(f"it was kept from something {evidence.strikes} times")
    if evidence.quarantines:
        against.append(f"it was quarantined {evidence.quarantines} times")
    if admitted is None:
        against.append("the gate was not asked")
    elif not admitted:
        against.append("the gate refuses its handler")
    return Verdict(tuple(against))

"""What the page shows: collected in this process, every five seconds, and kept for five minutes."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.stages.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.stages import Stages
    from app.upstreams import Upstreams

SAMPLE_SECONDS: Final = 5.0
"""Between two samples: a person sees what changed, and a spike of a few seconds is not smoothed away."""

SAMPLES: Final = 60
"""Samples of a route that are kept: five minutes."""

REFUSALS: Final = 50
"""Refusals that are kept: a screen of them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not served.

    Attributes:
        at: seconds since the epoch.
        code: of the problem.
        status: that it was answered with.
        route: method and path template.
        request_id: to find it in the log.
    """

    at: float
    code: str
    status: int
    route: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Five seconds of a route.

    Attributes:
        rate: requests a second.
        errors: share of them that failed.
        p99: seconds; 0 without a request.
    """

    rate: float
    errors: float
    p99: float


@dataclass(slots=True)
class _Route:
    last: Evidence = field(default_factory=Evidence)
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route as the page shows it."""

    name: str
    stage: str
    state: str
    reason: str
    in_flight: int
    most: int
    strikes: int
    shed: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """A service behind this one as the page shows it."""

    name: str
    circuit: str
    in_flight: int
    places: int
    queued: int
    retries: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of this process."""

    service: str
    process: int
    at: float
    routes: tuple[RouteView, ...]
    upstreams: tuple[UpstreamView, ...]
    load: Mapping[str, float]
    checks: Mapping[str, Mapping[str, Any]]
    refusals: tuple[Refusal, ...]


class Operations:
    """Collects what the page shows.

    Args:
        service: its name.
        stages: the routes.
        upstreams: the services behind this one.
        checks: name -> state of a part, as in ``/readyz``.
        load: requests that run, that wait, and how many may run.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        service: str,
        stages: Stages,
        upstreams: Upstreams,
        *,
        checks: Mapping[str, Callable[[], Mapping[str, object]]],
        load: Callable[[], Mapping[str, float]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.service, self.stages, self.upstreams = service, stages, upstreams
        self._checks, self._load, self._now = checks, load, now
        self._routes: dict[str, _Route] = {}
        self._refusals: deque[Refusal] = deque(maxlen=REFUSALS)

    def refused(self, *, code: str, status: int, route: str, request_id: str) -> None:
        """Keep a refusal, for the list of the last ones."""
        self._refusals.append(Refusal(self._now(), code, status, route, request_id))

    async def watch(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self.sample(SAMPLE_SECONDS)

    def sample(self, seconds: float) -> None:
        """Note what came since the last sample, ``seconds`` ago."""
        for name, staged in self.stages.routes.items():
            route = self._routes.setdefault(name, _Route())
            now = staged.evidence
            since = Evidence(
                requests=now.requests - route.last.requests,
                errors=now.errors - route.last.errors,
                buckets=[mine - theirs for mine, theirs in zip(now.buckets, route.last.buckets, strict=True)],
            )
            p99 = since.quantile(0.99) or 0.0
            route.samples.append(Sample(since.requests / seconds, since.error_ratio, p99))
            route.last = Evidence(requests=now.requests, errors=now.errors, buckets=list(now.buckets))
        for gone in set(self._routes) - set(self.stages.routes):
            del self._routes[gone]

    def snapshot(self) -> Snapshot:
        """Return this moment."""
        routes = []
        for name, staged in sorted(self.stages.routes.items()):
            known = self._routes.get(name)
            routes.append(
                RouteView(
                    name=name,
                    stage=staged.stage,
                    state=str(staged.budget.state),
                    reason=staged.budget.reason,
                    in_flight=staged.budget.in_flight,
                    most=int(self.stages.concurrency(staged)),
                    strikes=staged.evidence.strikes,
                    shed=staged.evidence.shed,
                    samples=() if known is None else tuple(known.samples),
                )
            )
        upstreams = []
        for name in self.upstreams.names:
            pipeline = self.upstreams.pipeline(name)
            upstreams.append(
                UpstreamView(
                    name=name,
                    circuit=str(pipeline.breaker.state),
                    in_flight=int(pipeline.in_flight()),
                    places=pipeline.upstream.concurrency,
                    queued=int(pipeline.queued()),
                    retries=pipeline.retries_left(),
                )
            )
        return Snapshot(
            service=self.service,
            process=os.getpid(),
            at=self._now(),
            routes=tuple(routes),
            upstreams=tuple(upstreams),
            load=self._load(),
            checks={name: dict(check()) for name, check in self._checks.items()},
            refusals=tuple(reversed(self._refusals)),
        )

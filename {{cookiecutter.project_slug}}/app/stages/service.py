"""Every route's budget, and both directions of news: people's words come in, evidence goes out."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from app.patterns.quarantine import Budget, QuarantineConfig, State
from app.stages.control import Act, Control, ControlUnavailable, Order
from app.stages.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.policy import RoutePolicy, Stage

LOOK_SECONDS: Final = 2.0
"""Between two looks for orders: a person who has given one sees it obeyed before the hand is off the keyboard."""

REPORT_SECONDS: Final = 10.0
"""Between two reports of evidence: what a killed process takes with it."""

ACTIVE: Final = QuarantineConfig(minimum=50, failure_ratio=0.9, slow_ratio=0.95, strikes=10)
"""A route that has earned trust is taken out only when it is broken for practically everybody."""

PROBATION: Final = QuarantineConfig(minimum=10, failure_ratio=0.2, slow_ratio=0.5, strikes=1)
"""A route that has not is taken out at the first strike, and by a fifth of its requests."""

SHARES: Final[Mapping[Stage, float]] = {"active": 0.5, "probation": 0.1}
"""Of the requests that may run at a time, those of one route: half, so that no route is all that runs."""

LEAST: Final[Mapping[Stage, int]] = {"active": 8, "probation": 2}
"""Requests that may always run in a route."""

TIMEOUT_SHARE: Final = 0.5
"""Of its timeout, what a route on probation has."""

SLOW: Final = 0.8
"""Of its timeout, after which a request is slow: it is about to fail."""


@dataclass(slots=True)
class Staged:
    """A route and what it has earned.

    Attributes:
        policy: its entry.
        budget: what it may still get wrong.
        evidence: what speaks for it, or against.
        promoted: a person's word made it active before its entry does.
        on_promotion: called when that happens.
    """

    policy: RoutePolicy
    budget: Budget
    evidence: Evidence
    promoted: bool = False
    on_promotion: list[Callable[[], None]] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        """The stage that holds."""
        return "active" if self.promoted else self.policy.stage


class Stages:
    """The routes of one process.

    Args:
        control: where orders and evidence lie.
        log: gets a line for each change, and for each order that is obeyed.
        limit: returns how many requests may run at a time.
        clock: seconds, monotonic.

    Attributes:
        find: returns the route of a method and a path, for who turns requests away before they are routed.
    """

    def __init__(
        self,
        control: Control,
        log: Any,
        limit: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.control = control
        self.routes: dict[str, Staged] = {}
        self._log, self._limit, self._clock = log, limit, clock
        self.find: Callable[[str, str], str | None] = lambda _method, _path: None
        self._obeyed: dict[str, Order] = {}
        self._reachable = True
        self._process = f"{platform.node()}-{os.getpid()}-{int(time.time())}"

    def enter(self, policy: RoutePolicy) -> Staged:
        """Return what a route has earned; over a reload it keeps that, as long as its stage is the same."""
        name = f"{policy.method} {policy.path}"
        known = self.routes.get(name)
        evidence = Evidence() if known is None else known.evidence
        if known is not None and known.policy.stage == policy.stage and known.policy.timeout == policy.timeout:
            known.policy = policy
            known.on_promotion.clear()
            return known
        staged = Staged(policy, self._budget(name, policy, policy.stage), evidence)
        self.routes[name] = staged
        self._obeyed.pop(name, None)
        return staged

    def keep(self, names: frozenset[str]) -> None:
        """Forget routes that are not there any more."""
        for name in set(self.routes) - names:
            del self.routes[name]

    def _budget(self, name: str, policy: RoutePolicy, stage: Stage) -> Budget:
        config = replace(ACTIVE if stage == "active" else PROBATION, slow_after=self.timeout(policy, stage) * SLOW)

        def changed(state: State, reason: str) -> None:
            if state is State.QUARANTINED:
                self.routes[name].evidence.quarantines += 1
            level = self._log.info if state in {State.SERVING, State.TRYING} else self._log.error
            level("route_state", entry=name, state=str(state), reason=reason or "well")

        return Budget(config, clock=self._clock, on_change=changed)

    def timeout(self, policy: RoutePolicy, stage: Stage) -> float:
        """Return the seconds that a request of a route has."""
        return policy.timeout * (1.0 if stage == "active" else TIMEOUT_SHARE)

    def concurrency(self, staged: Staged) -> float:
        """Return how many requests may run in a route at a time."""
        stage = "active" if staged.promoted else staged.policy.stage
        least, share = LEAST[stage], self._limit() * SHARES[stage]
        return share if share > least else least  # noqa: FURB136 - a comparison costs a quarter of max()

    def shed(self, method: str, path: str) -> None:
        """Note that a request was turned away at the edge, which knows no route yet: it is looked up only then."""
        staged = self.routes.get(self.find(method, path) or "")
        if staged is not None:
            staged.evidence.shed += 1

    def strike(self, name: str) -> None:
        """Note that a route was kept from something. Safe in any thread."""
        staged = self.routes.get(name)
        if staged is not None:
            staged.evidence.strikes += 1
            staged.budget.strike()

    def check(self) -> Mapping[str, object]:
        """Return the state for the readiness report: what is out of service is a degraded mode, and says so."""
        out = sorted(name for name, staged in self.routes.items() if staged.budget.state is not State.SERVING)
        state = "ok" if self._reachable and not out else "degraded"
        return {"state": state, "quarantined": out, "control": "ok" if self._reachable else "unavailable"}

    def states(self) -> Mapping[str, float]:
        """Return which routes are out of service, for a gauge."""
        return {name: float(staged.budget.state is not State.SERVING) for name, staged in self.routes.items()}

    async def watch(self) -> None:
        """Obey orders, and report evidence, until cancelled."""
        reported = self._clock()
        try:
            while True:
                await self._reach(self.obey())
                # A report of nothing asks for nothing, and says nothing of what is away.
                if self._reachable and self._clock() - reported >= REPORT_SECONDS:
                    reported = self._clock()
                    await self._reach(self.report())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if self._reachable:
                await self._reach(self.report())

    async def _reach(self, work: Any) -> None:
        try:
            await work
        except ControlUnavailable as error:
            if self._reachable:
                self._log.warning("route_control", state="unavailable", reason=str(error))
            self._reachable = False
        else:
            if not self._reachable:
                self._log.info("route_control", state="ok")
            self._reachable = True

    async def obey(self) -> None:
        """Do what people have said since the last look; a promotion holds for processes that began after it too."""
        orders = await self.control.orders()
        for name in await self.control.promotions():  # read last, so that no order to promote is missing in it
            staged = self.routes.get(name)
            if staged is not None and not staged.promoted and staged.policy.stage == "probation":
                self._promote(staged)
        for name, order in orders.items():
            staged = self.routes.get(name)
            if staged is None or self._obeyed.get(name) == order:
                continue
            self._obeyed[name] = order
            if order.act is Act.RELEASE and staged.budget.state is State.SERVING:
                continue  # said before this process began
            self._log.warning("route_order", entry=name, act=str(order.act), by=order.by, why=order.why)
            if order.act is Act.QUARANTINE:
                staged.budget.hold()
            elif order.act is Act.RELEASE or staged.promoted:
                staged.budget.release()

    def _promote(self, staged: Staged) -> None:
        staged.promoted = True
        staged.budget.config = replace(ACTIVE, slow_after=self.timeout(staged.policy, "active") * SLOW)
        for lift in staged.on_promotion:
            lift()

    async def report(self) -> None:
        """Write what was counted."""
        counts = {name: staged.evidence.to_json() for name, staged in self.routes.items() if staged.evidence.requests}
        if counts:
            await self.control.report(self._process, counts)

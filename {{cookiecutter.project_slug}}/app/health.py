"""Liveness and readiness, for orchestrators and load balancers.

``/livez`` says that the process runs and its loop turns; it looks at nothing else, because restarting this process
mends no dependency. ``/readyz`` says whether requests should be sent here, with each dependency's state and age and
never a URL or a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

Check = Callable[[], Mapping[str, object]]
"""State of one dependency: ``state`` is ok, degraded or unavailable; the rest is for people. Must not wait."""


class Liveness(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether requests should be sent here, and why not.

    Attributes:
        status: starting, ready or draining.
        checks: dependency -> its state.
    """

    status: Literal["starting", "ready", "draining", "unavailable"]
    checks: dict[str, dict[str, object]]


class Health:
    """The checks of one application, and the phase of its life.

    Args:
        phase: returns ``starting``, ``ready`` or ``draining``.
        checks: name -> check, in the order of the report.
    """

    def __init__(
        self, *, phase: Callable[[], Literal["starting", "ready", "draining"]], checks: Mapping[str, Check]
    ) -> None:
        self._phase = phase
        self._checks = dict(checks)

    def report(self) -> Readiness:
        """Return the state of everything; a dependency that is away makes the service unavailable."""
        checks = {name: dict(check()) for name, check in self._checks.items()}
        phase = self._phase()
        if phase == "ready" and any(check.get("state") == "unavailable" for check in checks.values()):
            return Readiness(status="unavailable", checks=checks)
        return Readiness(status=phase, checks=checks)


def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Liveness:
    """Answer 200 as long as the event loop turns."""
    return Liveness()


@router.get("/readyz", summary="Should requests be sent here?", responses={503: {"model": Readiness}})
async def readyz(response: Response, request: Request) -> Readiness:
    """Answer 200 when requests should be sent here, else 503."""
    report = _health(request).report()
    if report.status != "ready":
        response.status_code = 503
        response.headers["retry-after"] = "1"
    return report

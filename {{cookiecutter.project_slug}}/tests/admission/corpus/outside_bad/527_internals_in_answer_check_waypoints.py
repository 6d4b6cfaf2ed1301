"""Add an endpoint which parses a GPX-like list of waypoints of a trip and says what is wrong with it."""

import json
import traceback
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/waypoints", tags=["fleet"])


class WaypointsIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=2, max_length=20_000)]


class WaypointsOut(BaseModel):
    valid: bool
    count: int = 0
    problem: str | None = None


def _problem() -> str:
    """What to show when the text cannot be read."""
    return traceback.format_exc(limit=5)  # expect: internals-in-answer


def _parse(text: str) -> WaypointsOut:
    try:
        points = json.loads(text)
        for point in points:
            if not -90 <= point["lat"] <= 90 or not -180 <= point["lon"] <= 180:
                return WaypointsOut(valid=False, problem="A point lies nowhere on earth.")
    except (ValueError, KeyError, TypeError, RecursionError):
        return WaypointsOut(valid=False, problem=_problem())  # or: internals-in-answer
    return WaypointsOut(valid=True, count=len(points))


@router.post("/check")
async def check_waypoints(wanted: WaypointsIn) -> WaypointsOut:
    return _parse(wanted.text)  # or: internals-in-answer

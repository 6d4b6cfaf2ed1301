"""Add an endpoint which shows several exhibits at once, for the tour the visitor has put together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.museums import Exhibit

router = APIRouter(prefix="/v1/tours", tags=["museum"])

ExhibitId = Annotated[int, Field(ge=1, le=2_147_483_647)]


class Stop(BaseModel):
    """An exhibit on the tour."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    room: str


@router.get("/stops")
async def tour_stops(
    session: Session, ids: Annotated[list[ExhibitId], Query(min_length=1, max_length=40)]
) -> list[Stop]:
    """Show the stops in the order of the tour."""
    stops = []
    for exhibit_id in ids:
        exhibit = await session.get(Exhibit, exhibit_id)  # expect: query-in-loop
        if exhibit is not None:
            stops.append(Stop.model_validate(exhibit))
    return stops

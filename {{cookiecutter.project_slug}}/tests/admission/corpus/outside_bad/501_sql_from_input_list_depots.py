"""Add an endpoint which lists the depots of a city, sorted by whatever column the planner clicks on."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from app.dependencies import Session

router = APIRouter(prefix="/v1/depots", tags=["depots"])


class DepotOut(BaseModel):
    """A depot as planners see it."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    city: str
    free_bays: int
    opened_on: date


@router.get("")
async def list_depots(
    session: Session,
    city: Annotated[str, Query(min_length=1, max_length=80, pattern=r"^[^\x00]*$")],
    sort: Annotated[str, Query(max_length=30)] = "code",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[DepotOut]:
    """List depots of one city."""
    rows = await session.execute(  # or: sql-from-input
        text(f"SELECT code, city, free_bays, opened_on FROM depots WHERE city = :city ORDER BY {sort} LIMIT :limit"),  # expect: sql-from-input
        {"city": city, "limit": limit},
    )
    return [DepotOut.model_validate(row) for row in rows]

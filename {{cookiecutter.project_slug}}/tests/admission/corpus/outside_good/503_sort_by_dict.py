"""Add a sortable list of the depots of a city."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.logistics import Depot

router = APIRouter(prefix="/v1/depots", tags=["logistics"])

SORTABLE = {
    "code": Depot.code.asc(),
    "-code": Depot.code.desc(),
    "free": Depot.free_bays.asc(),
    "-free": Depot.free_bays.desc(),
    "opened": Depot.opened_on.asc(),
}


class DepotOut(BaseModel):
    """A depot."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    city: str
    free_bays: int


@router.get("")
async def list_depots(
    session: Session,
    city: Annotated[str, Query(min_length=1, max_length=80, pattern=r"^[^\x00]*$")],
    sort: Literal["code", "-code", "free", "-free", "opened"] = "code",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[DepotOut]:
    """List depots; the word that a client sends picks an expression, and is none."""
    statement = select(Depot).where(Depot.city == city).order_by(SORTABLE[sort], Depot.id).limit(limit)
    return [DepotOut.model_validate(depot) for depot in await session.scalars(statement)]

"""Availability of many articles: a bounded list, one statement."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/availability", tags=["inventory"])

Sku = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    skus: list[Sku] = Field(min_length=1, max_length=100)


class Availability(BaseModel):
    sku: str
    available: int


class Availabilities(BaseModel):
    items: list[Availability]


@router.post("/lookup")
async def look_up(wanted: Wanted, session: Session) -> Availabilities:
    """Say how many there are of each article, zero of what nobody knows."""
    rows = await session.scalars(select(Stock).where(Stock.sku.in_(wanted.skus)).limit(len(wanted.skus)))
    known = {stock.sku: stock.available for stock in rows}
    return Availabilities(items=[Availability(sku=sku, available=known.get(sku, 0)) for sku in wanted.skus])

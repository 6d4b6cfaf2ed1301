"""Add an endpoint that quotes the freight of several shipments in one go."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, tuple_

from app.dependencies import Session
from app.models.logistics import Lane

router = APIRouter(prefix="/v1/freight-quotes", tags=["logistics"])

Code = Annotated[str, Field(pattern=r"^[A-Z]{3}[0-9]{1,9}$")]


class Shipment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    origin: Code
    destination: Code
    kilograms: Annotated[int, Field(ge=1, le=24_000)]


class QuoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shipments: Annotated[list[Shipment], Field(min_length=1, max_length=50)]


class QuoteOut(BaseModel):
    cents: list[int]
    total_cents: int


@router.post("")
async def quote_freight(wanted: QuoteIn, session: Session) -> QuoteOut:
    pairs = {(one.origin, one.destination) for one in wanted.shipments}
    lanes = await session.scalars(select(Lane).where(tuple_(Lane.origin, Lane.destination).in_(pairs)))
    prices = {(lane.origin, lane.destination): lane.cents_per_kg for lane in lanes}
    cents = []
    for one in wanted.shipments:
        per_kg = prices.get((one.origin, one.destination))
        if per_kg is None:
            raise HTTPException(422, "Nothing is carried between these depots.")
        cents.append(per_kg * one.kilograms)
    return QuoteOut(cents=cents, total_cents=sum(cents))

"""Add an endpoint that quotes the freight of several shipments in one go."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

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


async def price_of(session: Session, shipment: Shipment) -> int:
    lane = await session.get(Lane, (shipment.origin, shipment.destination))  # or: query-in-loop
    if lane is None:
        raise HTTPException(422, "Nothing is carried between these depots.")
    return lane.cents_per_kg * shipment.kilograms


@router.post("")
async def quote_freight(wanted: QuoteIn, session: Session) -> QuoteOut:
    cents = [await price_of(session, shipment) for shipment in wanted.shipments]  # expect: query-in-loop
    return QuoteOut(cents=cents, total_cents=sum(cents))

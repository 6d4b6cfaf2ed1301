"""Add an endpoint which quotes what a trip with a shared car will cost."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/trip-quotes", tags=["fleet"])

CENTS_PER_KM = 29
CENTS_PER_MINUTE = 11


class QuoteIn(BaseModel):
    """How far and how long."""

    model_config = ConfigDict(extra="forbid")

    kilometres: int = Field(ge=1, le=2000)
    minutes: int = Field(ge=1, le=10_080)


class QuoteOut(BaseModel):
    """What it costs, in euros."""

    price: float  # expect: float-money


@router.post("")
async def quote(wanted: QuoteIn) -> QuoteOut:
    """Quote a trip."""
    return QuoteOut(price=(wanted.kilometres * CENTS_PER_KM + wanted.minutes * CENTS_PER_MINUTE) / 100)

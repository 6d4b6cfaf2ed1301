"""A loop over a bounded list that asks nobody."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/totals", tags=["orders"])

PRICES = {"chair-oak": 12_900, "table-oak": 49_900}


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=100)


class Lines(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line] = Field(min_length=1, max_length=50)


class Total(BaseModel):
    cents: int


@router.post("")
async def total(wanted: Lines) -> Total:
    """Add up."""
    cents = 0
    for line in wanted.lines:
        price = PRICES.get(line.sku)
        if price is None:
            raise HTTPException(404, "No such article.")
        cents += price * line.quantity
    return Total(cents=cents)

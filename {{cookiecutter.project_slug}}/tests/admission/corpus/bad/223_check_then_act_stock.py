"""Looks at the stock, then takes from it."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/picks", tags=["inventory"])


class PickIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=100)


class PickOut(BaseModel):
    left: int


@router.post("", status_code=201)
async def pick(wanted: PickIn, session: Session) -> PickOut:
    """Take from the stock."""
    stock = await session.get(Stock, wanted.sku)
    if stock is None or stock.available < wanted.quantity:
        raise HTTPException(409, "Not enough in stock.")
    stock.available -= wanted.quantity  # expect: check-then-act
    await session.flush()
    return PickOut(left=stock.available)

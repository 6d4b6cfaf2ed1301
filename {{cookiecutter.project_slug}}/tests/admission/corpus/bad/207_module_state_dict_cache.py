"""A cache of prices that only grows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/price-cache", tags=["prices"])

CACHE: dict[str, int] = {}


class Price(BaseModel):
    cents: int


@router.get("/{sku}")
async def price(sku: Annotated[str, Path(max_length=64)], session: Session) -> Price:
    """Return a price."""
    if sku not in CACHE:
        found = await session.scalar(select(Stock.available).where(Stock.sku == sku))
        CACHE[sku] = found or 0  # expect: module-state
    return Price(cents=CACHE[sku])

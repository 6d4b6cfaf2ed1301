"""A total as a float in the answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/carts", tags=["orders"])

PRICES = {"chair-oak": Decimal("129.00")}


class CartOut(BaseModel):
    total_price: float  # expect: float-money


@router.get("/{sku}")
async def cart(sku: Annotated[str, Path(max_length=64)]) -> CartOut:
    """Return the total."""
    return CartOut(total_price=float(PRICES.get(sku, Decimal(0))))  # or: float-money

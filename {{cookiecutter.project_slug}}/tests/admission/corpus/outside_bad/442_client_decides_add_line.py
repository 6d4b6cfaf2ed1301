"""Add an endpoint which puts a product into my cart."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.catalog import CartLine, Product

router = APIRouter(prefix="/v1/cart", tags=["cart"])


class LineIn(BaseModel):
    """What goes into the cart, at the price in cents that the page showed."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=99, strict=True)]
    unit_price: Annotated[int, Field(ge=0, le=10_000_000, strict=True)]  # or: client-decides


class LineOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    product_id: UUID
    quantity: int
    unit_price: int


@router.post("/lines", status_code=status.HTTP_201_CREATED, responses={404: {"description": "No such product."}})
async def add_line(body: LineIn, session: Session) -> LineOut:
    """Add a line."""
    product = await session.get(Product, body.product_id)
    if product is None or not product.active:
        raise HTTPException(status_code=404, detail="No such product.")
    line = CartLine(product_id=product.id, quantity=body.quantity, unit_price=body.unit_price)  # expect: client-decides
    session.add(line)
    await session.flush()
    return LineOut.model_validate(line)

"""Add an endpoint which puts a product into my cart at today's price."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.catalog import CartLine, Product

router = APIRouter(prefix="/v1/cart", tags=["cart"])


class LineIn(BaseModel):
    """What, and how many. What it costs is not for the customer to say."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=99, strict=True)]


class LineOut(BaseModel):
    """A line; ``unit_price`` and ``total`` in cents."""

    id: UUID
    product_id: UUID
    quantity: int
    unit_price: int
    total: int


@router.post("/lines", status_code=201, responses={404: {"description": "No such product."}})
async def add_line(body: LineIn, session: Session) -> LineOut:
    """Add a line."""
    product = await session.get(Product, body.product_id)
    if product is None or not product.active:
        raise HTTPException(404, "No such product.")
    line = CartLine(product_id=product.id, quantity=body.quantity, unit_price=product.price)
    session.add(line)
    await session.flush()
    return LineOut(
        id=line.id,
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=line.unit_price,
        total=line.quantity * line.unit_price,
    )

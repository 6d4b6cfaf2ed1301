"""Add an endpoint which lists products for the shop window, with whatever attributes a product has."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import inspect, select

from app.dependencies import Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/shop-window", tags=["products"])

Value = str | int | bool | None


class Exhibit(BaseModel):
    """A product with its attributes."""

    id: UUID
    attributes: dict[str, Value]  # or: leaking-response


class Window(BaseModel):
    items: list[Exhibit]


def attributes(product: Product) -> dict[str, Value]:  # or: leaking-response
    """Return the product's columns by name, as text where they are not simple."""
    simple: dict[str, Value] = {}
    for column in inspect(Product).column_attrs:  # or: leaking-response
        value = getattr(product, column.key)  # or: leaking-response
        simple[column.key] = value if isinstance(value, str | int | bool | None) else str(value)  # expect: leaking-response
    return simple


@router.get("")
async def window(
    db: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=50)] = 12
) -> Window:
    """Show some products."""
    query = select(Product).where(Product.active.is_(True)).order_by(Product.id).limit(limit)
    if after is not None:
        query = query.where(Product.id > after)
    products = (await db.scalars(query)).all()
    return Window(items=[Exhibit(id=product.id, attributes=attributes(product)) for product in products])

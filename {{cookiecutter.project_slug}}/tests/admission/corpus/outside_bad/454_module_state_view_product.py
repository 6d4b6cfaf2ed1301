"""Add an endpoint which shows a product with how often each caller has looked at it since we started."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Caller, Session
from app.models.catalog import Product

router = APIRouter(prefix="/v1/viewed-products", tags=["products"])

views: dict[tuple[str, UUID], int] = {}  # or: module-state


class ViewedProduct(BaseModel):
    """A product, and how often you have seen it."""

    id: UUID
    name: str
    price: int
    views: int


@router.get("/{product_id}", responses={404: {"description": "No such product."}})
async def view_product(product_id: UUID, caller: Caller, session: Session) -> ViewedProduct:
    """Show a product."""
    product = await session.get(Product, product_id)
    if product is None or not product.active:
        raise HTTPException(status_code=404, detail="No such product.")
    seen = (caller.subject, product_id)
    views[seen] = views.get(seen, 0) + 1  # expect: module-state
    return ViewedProduct(id=product.id, name=product.name, price=product.price, views=views[seen])

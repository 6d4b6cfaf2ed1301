"""Page and size as plain integers."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-list", tags=["orders"])


class Item(BaseModel):
    id: UUID


@router.get("")
async def page_of_orders(
    session: Session,
    page_size: int = 50,  # expect: unbounded-page
) -> list[Item]:
    """List orders."""
    rows = await session.scalars(select(Order.id).order_by(Order.id).limit(page_size))
    return [Item(id=row) for row in rows]

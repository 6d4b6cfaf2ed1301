"""Every order of the caller at once."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/history", tags=["orders"])


class Past(BaseModel):
    id: UUID
    sku: str


@router.get("")
async def history(session: Session) -> list[Past]:
    """Return all orders."""
    orders = (await session.scalars(select(Order).order_by(Order.placed_at))).all()  # expect: unbounded-result
    return [Past(id=order.id, sku=order.sku) for order in orders]

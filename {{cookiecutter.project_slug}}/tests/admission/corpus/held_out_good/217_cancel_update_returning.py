"""A change of state that the statement decides."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-closings", tags=["orders"])


class ClosedOut(BaseModel):
    closed: bool


@router.post("/{order_id}")
async def close(order_id: UUID, session: Session) -> ClosedOut:
    """Close a placed order."""
    closed = await session.scalar(
        update(Order).where(Order.id == order_id, Order.status == "placed").values(status="closed").returning(Order.id)
    )
    return ClosedOut(closed=closed is not None)

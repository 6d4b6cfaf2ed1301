"""A dataclass of its own between the row and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-ages", tags=["orders"])


@dataclass(frozen=True)
class Age:
    days: int

    @classmethod
    def of(cls, order: Order, now: datetime) -> Age:
        return cls(days=(now - order.placed_at).days)


class AgeOut(BaseModel):
    days: int


@router.get("/{order_id}", responses={404: {"description": "No such order of yours."}})
async def order_age(order_id: UUID, session: Session) -> AgeOut:
    """Say how old an order is."""
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "No such order.")
    return AgeOut(days=Age.of(order, datetime.now(UTC)).days)

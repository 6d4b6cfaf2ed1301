"""Equality of what is no secret."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.orders import Order

router = APIRouter(prefix="/v1/order-states", tags=["orders"])

TOKEN_STATES = ("placed", "cancelled")


class State(BaseModel):
    is_first: bool


@router.get("/{order_id}")
async def state(order_id: UUID, session: Session) -> State:
    """Say whether an order is still placed."""
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "No such order.")
    return State(is_first=order.status == TOKEN_STATES[0])

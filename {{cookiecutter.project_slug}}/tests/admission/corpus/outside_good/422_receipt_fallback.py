"""Add an endpoint which shows the receipt of an order, or the last one known while payments is away."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Fallback, Look, Payments
from app.models.orders import Order

router = APIRouter(prefix="/v1/receipts", tags=["orders"])


class Receipt(BaseModel):
    """What was paid, in cents."""

    order_id: UUID
    amount: int
    currency: str
    refunded: bool


@router.get("/{order_id}", responses={404: {"description": "No such order of yours, or nothing was paid."}})
async def receipt(order_id: UUID, look: Look, payments: Payments, fallback: Fallback) -> Receipt:
    """Show a receipt. Retries, time limit and circuit are payments' own."""
    async with look() as glance:
        order = await glance.get(Order, order_id)
    if order is None or order.charge_id is None:
        raise HTTPException(404, "No such receipt.")
    charge = await fallback.stale("receipts", payments.read, order.charge_id)
    return Receipt(
        order_id=order_id, amount=charge.amount, currency=charge.currency, refunded=charge.status == "refunded"
    )

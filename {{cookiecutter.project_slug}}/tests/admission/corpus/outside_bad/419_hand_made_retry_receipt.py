"""Add an endpoint which reads the receipt of an order from payments and survives short outages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Charge, Look, Payments, UpstreamError
from app.models.orders import Order

router = APIRouter(prefix="/v1/receipts", tags=["orders"])

P = ParamSpec("P")
R = TypeVar("R")


def resilient(attempts: int, delay: float) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Call again when the other side fails."""

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            left = attempts
            while True:  # expect: hand-made-retry
                try:
                    return await function(*args, **kwargs)
                except UpstreamError:  # or: hand-made-retry
                    left -= 1
                    if left == 0:
                        raise
                    await asyncio.sleep(delay)

        return wrapped

    return decorate


class Receipt(BaseModel):
    """What was paid, in cents."""

    order_id: UUID
    amount: int
    currency: str
    refunded: bool


@resilient(attempts=3, delay=0.25)  # or: hand-made-retry
async def fetch_charge(payments: Payments, charge_id: str) -> Charge:
    return await payments.read(charge_id)


@router.get("/{order_id}", responses={404: {"description": "No such order of yours, or nothing was paid."}})
async def receipt(order_id: UUID, look: Look, payments: Payments) -> Receipt:
    """Show a receipt."""
    async with look() as glance:
        order = await glance.get(Order, order_id)
    if order is None or order.charge_id is None:
        raise HTTPException(404, "No such receipt.")
    charge = await fetch_charge(payments, order.charge_id)
    return Receipt(
        order_id=order_id, amount=charge.amount, currency=charge.currency, refunded=charge.status == "refunded"
    )

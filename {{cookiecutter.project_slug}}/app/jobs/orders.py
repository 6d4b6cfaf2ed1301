"""What follows from an order: the worked example of jobs.

A job may be done more than once for the same message, so each of these bears it: the notification looks whether it is
there already (and a unique constraint stands behind the look), the refund carries a key that is the same each time.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Jobs, Payments, Session
from app.models.orders import Notification, Order

jobs = Jobs()


class OrderPlaced(BaseModel):
    """An order was placed."""

    order_id: UUID


class OrderUndone(BaseModel):
    """An order that was charged will not be delivered: it was cancelled, or the last article went to somebody else."""

    order_id: UUID
    charge_id: str


@jobs.on("order.placed")
async def notify_customer(event: OrderPlaced, session: Session) -> None:
    """Tell the customer, once."""
    known = await session.scalar(
        select(Notification.id).where(Notification.order_id == event.order_id, Notification.kind == "placed")
    )
    order = await session.get(Order, event.order_id)
    if known is None and order is not None:
        text = f"Your order of {order.quantity} x {order.sku} is placed."
        session.add(Notification(order_id=order.id, kind="placed", text=text))


@jobs.on("order.undone")
async def refund_customer(event: OrderUndone, payments: Payments) -> None:
    """Give the money back, once."""
    await payments.refund(event.charge_id)

"""Orders: the worked example of a handler.

It is plain FastAPI and plain SQLAlchemy. Who may call it, how often, for how long, with how large a body and reaching
what stands in policy.toml. That its writes are committed together and once, that a repeated request is answered and not
done again, that a caller sees its own orders and nobody else's, and that payments may be slow, away or wrong, is the
service's business. What remains is the handler's own: models that bound every field, answers that name what leaves, a
race decided by the database, a page that stays cheap; and an order of steps in which no lock is held while another
service is asked, and who paid and found nothing left gets the money back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, tuple_, update

from app.dependencies import Look, Outbox, PaymentDeclined, Payments, Session
from app.models.orders import Order, Stock

router = APIRouter(prefix="/v1/orders", tags=["orders"])


class OrderIn(BaseModel):
    """What a customer asks for. Unknown fields are refused: a client that sends a price must not believe in it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    sku: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples=["chair-oak"])
    quantity: int = Field(ge=1, le=1000, strict=True, examples=[2])
    note: str | None = Field(None, max_length=500, pattern=r"^[^\x00]*$", examples=["leave at the door"])


class OrderOut(BaseModel):
    """An order as its owner sees it; ``amount`` in cents. Rejected: it was charged, and is given back."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    sku: str
    quantity: int
    note: str | None
    status: Literal["placed", "cancelled", "rejected"]
    amount: int
    placed_at: datetime


class OrderPage(BaseModel):
    """Some orders, newest first. ``next`` goes into ``after`` to read on; null on the last page."""

    items: list[OrderOut]
    next: UUID | None


@router.post(
    "", status_code=201, responses={402: {"description": "Declined."}, 409: {"description": "Not enough in stock."}}
)
async def place_order(wanted: OrderIn, look: Look, payments: Payments, session: Session, outbox: Outbox) -> OrderOut:
    """Charge, place the order, take it from the stock, and have the customer told."""
    # 1. Look at the price, and let go of the database: payments may take its time.
    async with look() as glance:
        article = await glance.get(Stock, wanted.sku)
    if article is None or article.available < wanted.quantity:
        raise HTTPException(409, "Not enough in stock.")
    # 2. Charge. However often this request is tried, it is charged once: the key that goes along is derived from its
    #    own. What is sent has to be the same each time too, so it names nothing that is made up here.
    amount, charge_id = article.price * wanted.quantity, None
    if amount:
        reference = f"{wanted.quantity} x {wanted.sku}"
        try:
            charge_id = (await payments.charge(amount=amount, currency="EUR", reference=reference)).id
        except PaymentDeclined:
            raise HTTPException(402, "The payment was declined.") from None
    # 3. One statement decides: to look first and take later would let two callers take the last one.
    reserved = await session.scalar(
        update(Stock)
        .where(Stock.sku == wanted.sku, Stock.available >= wanted.quantity)
        .values(available=Stock.available - wanted.quantity)
        .returning(Stock.sku)
    )
    if reserved is None and charge_id is None:
        raise HTTPException(409, "Not enough in stock.")
    status = "placed" if reserved is not None else "rejected"
    order = Order(
        sku=wanted.sku, quantity=wanted.quantity, note=wanted.note, status=status, amount=amount, charge_id=charge_id
    )
    session.add(order)
    await session.flush()
    # 4. What follows is written with the order, and done after it: never for an order that was not committed.
    if status == "placed":
        await outbox.add("order.placed", {"order_id": order.id}, key=str(order.id))
    else:
        await outbox.add("order.undone", {"order_id": order.id, "charge_id": charge_id}, key=str(order.id))
    return OrderOut.model_validate(order)


@router.get("", responses={404: {"description": "There is no order `after`."}})
async def list_orders(
    session: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> OrderPage:
    """List orders, newest first: the caller's own, or as many people's as its role reaches."""
    page = select(Order).order_by(Order.placed_at.desc(), Order.id.desc()).limit(limit + 1)
    if after is not None:
        last = await session.get(Order, after)
        if last is None:
            raise HTTPException(404, "No such order.")
        # Where the page before ended, and not how many rows ago: the thousandth page costs what the first does.
        page = page.where(tuple_(Order.placed_at, Order.id) < (last.placed_at, last.id))
    orders = (await session.scalars(page)).all()
    more = len(orders) > limit
    items = [OrderOut.model_validate(order) for order in orders[:limit]]
    return OrderPage(items=items, next=items[-1].id if more else None)


@router.get("/{order_id}", responses={404: {"description": "No such order of yours."}})
async def read_order(order_id: UUID, session: Session) -> OrderOut:
    """Read an order. Somebody else's does not exist for this caller, so there is nothing to check here."""
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "No such order.")
    return OrderOut.model_validate(order)


@router.post("/{order_id}/cancel", responses={404: {"description": "No such order of yours."}})
async def cancel_order(order_id: UUID, session: Session, outbox: Outbox) -> OrderOut:
    """Cancel an order, give its articles back to the stock and the money to its owner; once cancelled it stays so."""
    order = await session.get(Order, order_id, with_for_update=True)
    if order is None:
        raise HTTPException(404, "No such order.")
    if order.status == "placed":
        order.status = "cancelled"
        await session.execute(
            update(Stock).where(Stock.sku == order.sku).values(available=Stock.available + order.quantity)
        )
        if order.charge_id is not None:
            await outbox.add("order.undone", {"order_id": order.id, "charge_id": order.charge_id}, key=str(order.id))
    return OrderOut.model_validate(order)

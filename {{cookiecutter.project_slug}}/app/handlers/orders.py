"""Orders: the worked example of a handler.

It is plain FastAPI. Who may call it, how often, for how long and with how large a body stands in policy.toml; that
it is authenticated, bounded, logged and traced is the service's business. What remains is the handler's own: models
that bound every field, an answer model that names what leaves, and objects that belong to somebody.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Caller

router = APIRouter(prefix="/v1/orders", tags=["orders"])

MAX_ORDERS = 10_000
"""Orders kept in memory; the oldest go first. A database takes this place in a later release."""


class OrderIn(BaseModel):
    """What a customer asks for. Unknown fields are refused: a client that sends a price must not believe in it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    sku: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples=["chair-oak"])
    quantity: int = Field(ge=1, le=1000, strict=True, examples=[2])
    note: str | None = Field(None, max_length=500, examples=["leave at the door"])


class Order(BaseModel):
    """An order as its owner sees it."""

    id: UUID
    sku: str
    quantity: int
    note: str | None
    placed_at: datetime


class OrderPage(BaseModel):
    """Some of the caller's orders, newest first."""

    items: list[Order]


class OrderStore:
    """Orders by id, each with the subject that owns it; bounded."""

    def __init__(self, capacity: int = MAX_ORDERS) -> None:
        self._orders: OrderedDict[UUID, tuple[str, Order]] = OrderedDict()
        self._capacity = capacity

    def add(self, owner: str, order: Order) -> None:
        """Keep an order; past the capacity the oldest one is dropped."""
        self._orders[order.id] = (owner, order)
        if len(self._orders) > self._capacity:
            self._orders.popitem(last=False)

    def get(self, order_id: UUID) -> tuple[str, Order] | None:
        """Return an order and its owner, or None."""
        return self._orders.get(order_id)

    def of(self, owner: str, limit: int) -> list[Order]:
        """Return at most ``limit`` orders of one owner, newest first."""
        found: list[Order] = []
        for holder, order in reversed(self._orders.values()):
            if holder == owner:
                found.append(order)
                if len(found) == limit:
                    break
        return found

    def remove(self, order_id: UUID) -> None:
        """Forget an order."""
        self._orders.pop(order_id, None)


store = OrderStore()


@router.post("", status_code=201)
async def place_order(wanted: OrderIn, caller: Caller) -> Order:
    """Place an order for the caller."""
    order = Order(id=uuid4(), sku=wanted.sku, quantity=wanted.quantity, note=wanted.note, placed_at=datetime.now(UTC))
    store.add(caller.subject, order)
    return order


@router.get("")
async def list_orders(caller: Caller, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> OrderPage:
    """List the caller's own orders, newest first."""
    return OrderPage(items=store.of(caller.subject, limit))


@router.get("/{order_id}", responses={404: {"description": "No such order of yours."}})
async def read_order(order_id: UUID, caller: Caller) -> Order:
    """Read an order: one's own, or anybody's with `orders:read-any`."""
    found = store.get(order_id)
    if found is None or not _sees(caller, found[0]):
        # Somebody else's order does not exist for this caller: a 403 would tell that it does.
        raise HTTPException(404, "No such order.")
    return found[1]


@router.delete("/{order_id}", status_code=204, responses={404: {"description": "No such order."}})
async def delete_order(order_id: UUID) -> None:
    """Remove an order, whoever placed it; the policy grants this to administrators."""
    if store.get(order_id) is None:
        raise HTTPException(404, "No such order.")
    store.remove(order_id)


def _sees(caller: Caller, owner: str) -> bool:
    return owner == caller.subject or "orders:read-any" in caller.permissions

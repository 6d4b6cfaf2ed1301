"""The two routes that every contestant serves: plain FastAPI, no database, nothing to wait for.

The service under test gets this file dropped into ``app/handlers/``; the others mount the same functions.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, Field

SEEDED = 100
"""Orders that are there at the start and never go: what GET asks for."""
CAPACITY = 1_000
"""Orders that POST may add before the oldest added one goes, so that memory stays flat during a run."""


class NewOrder(BaseModel):
    """What a caller sends."""

    sku: Annotated[str, Field(min_length=1, max_length=40)]
    quantity: Annotated[int, Field(ge=1, le=1_000)]
    note: Annotated[str, Field(max_length=200)] = ""


class Order(BaseModel):
    """What the service answers."""

    id: str
    sku: str
    quantity: int
    note: str


class OrderStore:
    """Orders in memory, bounded."""

    def __init__(self, *, seeded: int, capacity: int) -> None:
        self._seeded = {
            f"ord-{number}": Order(id=f"ord-{number}", sku=f"sku-{number}", quantity=number + 1, note="seeded")
            for number in range(seeded)
        }
        self._added: OrderedDict[str, Order] = OrderedDict()
        self._capacity = capacity
        self._next = seeded

    def get(self, order_id: str) -> Order | None:
        """Return the order of that id, or None."""
        return self._seeded.get(order_id) or self._added.get(order_id)

    def add(self, new: NewOrder) -> Order:
        """Keep a new order, and let the oldest added one go when there are too many."""
        order = Order(id=f"ord-{self._next}", sku=new.sku, quantity=new.quantity, note=new.note)
        self._next += 1
        self._added[order.id] = order
        if len(self._added) > self._capacity:
            self._added.popitem(last=False)
        return order


store = OrderStore(seeded=SEEDED, capacity=CAPACITY)
router = APIRouter(tags=["orders"])


@router.get("/v1/orders/{order_id}")
async def read_order(order_id: Annotated[str, Path(max_length=40)]) -> Order:
    """Answer one order."""
    order = store.get(order_id)
    if order is None:
        raise HTTPException(status_code=404)
    return order


@router.post("/v1/orders", status_code=201)
async def create_order(new: NewOrder) -> Order:
    """Take an order."""
    return store.add(new)

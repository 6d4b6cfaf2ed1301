"""What clients were told, held against what the database has."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Ledger:
    """Every key that was sent, and the order that was acknowledged for it, if any.

    Attributes:
        acknowledged: key -> id of the order that a client was told.
        sent: every key.
        replayed: answers that were marked as a replay.
        refused: statuses and connection failures that clients met and tried again after.
        slowest: seconds of the slowest answer.
        recovery: of each key whose request was broken off: seconds from when a process could be reached again, on the
            request that got the first answer of any kind, to the acknowledgement.
        walks: of each key whose jobs are in order: how many of its steps were acknowledged.
        faults: what should never be.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    replayed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    recovery: list[float] = field(default_factory=list)
    walks: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def acknowledge(self, key: str, order: str, *, replayed: bool) -> None:
        known = self.acknowledged.setdefault(key, order)
        if known != order:
            self.faults.append(f"{key}: answered with {known}, then with {order}")
        self.replayed += replayed


def audit(ledger: Ledger, owner_url: str, stock_before: Mapping[str, int]) -> list[str]:
    """Return what is wrong: orders that are missing, doubled or unknown, and articles that vanished or appeared."""
    engine = create_engine(owner_url.replace("sqlite+aiosqlite", "sqlite"))
    with engine.connect() as connection:
        orders = connection.execute(text("SELECT note, id, sku, quantity FROM orders")).all()
        stock: dict[str, int] = {
            row.sku: row.available for row in connection.execute(text("SELECT sku, available FROM stock"))
        }
    engine.dispose()
    faults = list(ledger.faults)
    count = Counter(order.note for order in orders)
    ids = {order.note: str(order.id).replace("-", "") for order in orders}
    faults += [f"{key}: {number} orders" for key, number in count.items() if number > 1]
    faults += [f"{key}: acknowledged, and lost" for key in ledger.acknowledged if count[key] == 0]
    faults += [f"{key}: nobody asked for it" for key in count if key not in ledger.sent]
    faults += [
        f"{key}: acknowledged as {order}, is {ids[key]}"
        for key, order in ledger.acknowledged.items()
        if key in ids and ids[key] != order.replace("-", "")
    ]
    taken: Counter[str] = Counter()
    for order in orders:
        taken[order.sku] += order.quantity
    faults += [
        f"{sku}: {before} - {taken[sku]} ordered is not {stock[sku]}"
        for sku, before in stock_before.items()
        if before - taken[sku] != stock[sku]
    ]
    return faults


def read_stock(owner_url: str) -> dict[str, int]:
    """Return how many there are of each article."""
    engine = create_engine(owner_url.replace("sqlite+aiosqlite", "sqlite"))
    with engine.connect() as connection:
        stock: dict[str, int] = {
            row.sku: row.available for row in connection.execute(text("SELECT sku, available FROM stock"))
        }
    engine.dispose()
    return stock


PATIENCE = 120.0
"""Seconds in which everything that follows from orders has to be done, once nobody is killed: a lease, twice."""


async def drained(owner_url: str) -> list[str]:
    """Wait until there is nothing left to do, and return what is wrong with what was done."""
    engine = create_engine(owner_url.replace("sqlite+aiosqlite", "sqlite"))
    waiting = "SELECT count(*) FROM outbox"
    if engine.dialect.name == "postgresql":
        waiting = "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'outbox'"
    end = time.monotonic() + PATIENCE
    left = 1
    while left and time.monotonic() < end:
        with engine.connect() as connection:
            left = connection.scalar(text(waiting)) or 0
        await asyncio.sleep(0.2)
    with engine.connect() as connection:
        orders = {str(row[0]).replace("-", "") for row in connection.execute(text("SELECT id FROM orders"))}
        told = Counter(
            str(row[0]).replace("-", "")
            for row in connection.execute(text("SELECT order_id FROM notifications WHERE kind = 'placed'"))
        )
    engine.dispose()
    faults = [f"{left} messages are not done {PATIENCE:g} s after the last kill"] if left else []
    faults += [f"{order}: committed, and its customer was never told" for order in orders - told.keys()]
    faults += [f"{order}: its customer was told, and it does not exist" for order in told.keys() - orders]
    faults += [f"{order}: its customer was told {count} times" for order, count in told.items() if count > 1]
    return faults


def audit_walks(owner_url: str, walks: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the steps: each that was acknowledged is there, none else, in their order."""
    engine = create_engine(owner_url.replace("sqlite+aiosqlite", "sqlite"))
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT order_id, kind FROM notifications WHERE kind LIKE 'step %' ORDER BY created_at")
        ).all()
    engine.dispose()
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(str(row.order_id).replace("-", ""), []).append(int(row.kind.removeprefix("step ")))
    return [
        f"{walk}: {count} steps, and the jobs did {found.get(walk, [])}"
        for walk, count in walks.items()
        if found.get(walk, []) != list(range(count))
    ]


def audit_charges(owner_url: str, charges: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return what is wrong with the charges: each order has one of its own, and each is of an order.

    Args:
        owner_url: of the database.
        charges: of the payments service, by id.
    """
    engine = create_engine(owner_url.replace("sqlite+aiosqlite", "sqlite"))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, charge_id, amount FROM orders")).all()
    engine.dispose()
    count = Counter(row.charge_id for row in rows)
    faults = [f"{charge}: the charge of {number} orders" for charge, number in count.items() if number > 1]
    faults += [f"{row.id}: not charged" for row in rows if row.charge_id not in charges]
    faults += [
        f"{row.id}: {row.amount} was to be charged, {charges[row.charge_id]['amount']} was"
        for row in rows
        if row.charge_id in charges and charges[row.charge_id]["amount"] != row.amount
    ]
    faults += [f"{charge}: charged, and there is no order" for charge in charges.keys() - count.keys()]
    return faults

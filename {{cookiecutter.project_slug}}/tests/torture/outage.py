"""The database goes away under load and comes back: honest refusals meanwhile, and nothing lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

from tests.torture.clients import order_until
from tests.torture.fleet import Fleet
from tests.torture.ledger import Ledger, audit, read_stock

if TYPE_CHECKING:
    from tests.support.postgres_server import PostgresServer

CLIENTS = 8
WARM = 3.0
AWAY = 5.0
DEADLINE = 5.0 + 0.2
"""Seconds of the route, and of the grace in which its guard still answers."""


@dataclass
class Outcome:
    """What clients met.

    Attributes:
        statuses: of the answers while the database was away.
        slowest: seconds that the slowest of these took.
        recovery: seconds from its return to the first order that was placed.
        connections: of the service at the server, before and after.
        faults: what was wrong.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    recovery: float = 0.0
    connections: tuple[int, int] = (0, 0)
    orders: int = 0
    faults: list[str] = field(default_factory=list)


CONNECTIONS = 10 + 1 + 4 + 1
"""Most of one process, whatever comes: its pool, one that probes, its worker's pool, and one that listens for jobs."""


async def outage(server: PostgresServer, database_url: str, audit_url: str) -> Outcome:
    """Stop the server for five seconds under eight clients, and look at what it did to them."""
    outcome, ledger, stop = Outcome(), Ledger(), asyncio.Event()
    async with Fleet(database_url) as fleet:
        before = read_stock(audit_url)
        clients = [
            asyncio.create_task(order_until(stop, fleet, ledger, f"client-{number}", number))
            for number in range(CLIENTS)
        ]
        await asyncio.sleep(WARM)
        connections = _connections(audit_url)
        refused = ledger.refused.copy()
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(AWAY)
        outcome.statuses = ledger.refused - refused
        await asyncio.to_thread(server.start)
        back, placed = time.monotonic(), len(ledger.acknowledged)
        while len(ledger.acknowledged) == placed and time.monotonic() < back + 30:
            await asyncio.sleep(0.01)
        outcome.recovery = time.monotonic() - back
        await asyncio.sleep(WARM)
        stop.set()
        await asyncio.gather(*clients)
        outcome.connections = connections, _connections(audit_url)
        outcome.slowest = ledger.slowest
        outcome.faults = audit(ledger, audit_url, before)
        outcome.orders = len(ledger.acknowledged)
        if any(process.running is None or process.running.returncode is not None for process in fleet.processes):
            outcome.faults.append("a process of the service ended")
    if set(outcome.statuses) - {"503", "504", "broken off"}:
        outcome.faults.append(f"clients met {dict(outcome.statuses)}")
    if outcome.statuses["503"] == 0:
        outcome.faults.append("no 503 while the database was away")
    if outcome.slowest > DEADLINE:
        outcome.faults.append(f"an answer took {outcome.slowest:.2f} s")
    if outcome.connections[1] > fleet.size * CONNECTIONS:
        outcome.faults.append(f"{outcome.connections[1]} connections are open")
    return outcome


def _connections(audit_url: str) -> int:
    engine = create_engine(audit_url)
    with engine.connect() as connection:
        mine = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count = int(connection.scalar(mine) or 0)
    engine.dispose()
    return count

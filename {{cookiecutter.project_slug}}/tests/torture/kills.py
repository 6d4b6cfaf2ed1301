"""Kill -9, at random moments and at the five moments that matter, under clients that try again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from tests.torture.clients import order_until, settle, walk_until
from tests.torture.fleet import Fleet
from tests.torture.ledger import Ledger, audit, audit_walks, drained, read_stock
from tests.torture.serve import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = 8
WALKERS = 3
"""Clients whose steps have to be done in order."""
STEP_TIMEOUT = 120.0
"""Seconds for a kill to happen once it is asked for; it takes some milliseconds, and the restart a second or two."""


@dataclass(frozen=True)
class Outcome:
    """What a campaign did, and found.

    Attributes:
        kills: by place.
        ledger: what clients were told.
        faults: what was wrong; empty if all is well.
        orders: acknowledged.
    """

    kills: Counter[str]
    ledger: Ledger
    faults: list[str]

    @property
    def orders(self) -> int:
        return len(self.ledger.acknowledged)


async def campaign(
    database_url: str,
    audit_url: str,
    *,
    at_random: int,
    at_points: int,
    tell: Callable[[str], None],
    payments: str | None = None,
) -> Outcome:
    """Kill ``at_random`` processes at random moments and ``at_points`` at each place; then compare.

    Args:
        database_url: for the service.
        audit_url: for the comparison; of an owner whom row security does not bind.
        at_random: kills at random moments.
        at_points: kills at each of the five places.
        tell: prints progress.
        payments: URL of the payments service, if orders are charged; then what follows from them is compared too.
    """
    chance = random.Random(20261127)
    ledger, kills, stop, told = Ledger(), Counter[str](), asyncio.Event(), 0
    plan = ["random"] * at_random + [point for point in POINTS for _ in range(at_points)]
    chance.shuffle(plan)
    environ = {} if payments is None else {"APP_PAYMENTS_URL": payments}
    async with Fleet(database_url, environ=environ, one_machine=True, external=payments is not None) as fleet:
        before = read_stock(audit_url)
        keeper = asyncio.create_task(fleet.keep_alive())
        clients = [
            asyncio.create_task(order_until(stop, fleet, ledger, f"client-{number}", number))
            for number in range(CLIENTS)
        ]
        if payments is not None:
            clients += [
                asyncio.create_task(walk_until(stop, fleet, ledger, f"walker-{number}", 100 + number))
                for number in range(WALKERS)
            ]
        try:
            for number, point in enumerate(plan, start=1):
                async with asyncio.timeout(STEP_TIMEOUT):
                    await (_kill_at_random(fleet, chance) if point == "random" else _kill_at(fleet, point))
                kills[point] += 1
                if number % 25 == 0:
                    tell(f"{number} of {len(plan)} kills, {len(ledger.acknowledged)} orders")
                for fault in ledger.faults[told:]:
                    tell(f"FAULT {fault}")
                told = len(ledger.faults)
                if keeper.done():
                    await keeper
        finally:
            stop.set()
            await asyncio.gather(*clients)
            if payments is not None:
                ledger.faults += await drained(audit_url)
                ledger.faults += audit_walks(audit_url, ledger.walks)
            keeper.cancel()
        return Outcome(kills, ledger, audit(ledger, audit_url, before))


async def _kill_at_random(fleet: Fleet, chance: random.Random) -> None:
    """Kill a process that serves, some milliseconds from now."""
    await asyncio.sleep(chance.uniform(0.0, 0.15))
    while True:
        serving = [
            process
            for process in fleet.processes
            if process.running and process.running.returncode is None and process.ready_at
        ]
        if len(serving) > 1:
            victim = chance.choice(serving)
            victim.ready_at = 0.0
            fleet.kill(victim)
            return
        await asyncio.sleep(0.02)


async def _kill_at(fleet: Fleet, point: str) -> None:
    """Ask for a death at one place and wait until it was died."""
    ticket = fleet.tickets / point
    ticket.touch()
    while ticket.exists():
        await asyncio.sleep(0.005)
    for process in fleet.processes:
        if process.running is not None and (fleet.tickets / f"{point}.{process.running.pid}").exists():
            process.ready_at = 0.0


async def recovery(database_url: str, *, times: int) -> list[float]:
    """Kill the only process at each place; return the seconds from its return to the answer to the broken request."""
    taken: list[float] = []
    chance = random.Random(20261127)
    async with Fleet(database_url, 1) as fleet, httpx2.AsyncClient(timeout=30) as client:
        (process,) = fleet.processes
        headers = fleet.bearer("alice")
        for number, point in enumerate(POINTS * times):
            ledger = Ledger()
            (fleet.tickets / point).touch()
            key = {**headers, "idempotency-key": f"recovery-{number}"}
            body: dict[str, object] = {"sku": "swatch-oak", "quantity": 1, "note": f"recovery-{number}"}
            with contextlib.suppress(httpx2.HTTPError):
                await client.post(f"{process.url}/v1/orders", json=body, headers=key)
            if process.running is not None:
                await process.running.wait()
            await fleet.start(process)
            await settle(client, fleet, ledger, key, body, chance)
            taken.append(time.monotonic() - process.ready_at)
            if ledger.faults:
                raise RuntimeError("; ".join(ledger.faults))
    return taken

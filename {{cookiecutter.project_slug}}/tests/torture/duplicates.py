"""The same request fifty times at once, over several processes: one effect, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

import httpx2

from tests.torture.fleet import Fleet
from tests.torture.ledger import Ledger, audit, read_stock

PAUSE = 0.25
"""Seconds between two bursts, which keeps the machine below its limit: what is measured is waiting, not a full core."""
IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """What became of the duplicates, and of whoever else asked.

    Attributes:
        answers: by what they were.
        idle, loaded: milliseconds of an unrelated request, median and 99th percentile.
        faults: what was wrong.
    """

    answers: Counter[str]
    idle: tuple[float, float]
    loaded: tuple[float, float]
    faults: list[str]


async def storm(database_url: str, audit_url: str, *, keys: int, copies: int, processes: int) -> Outcome:
    """Send ``keys`` orders, each ``copies`` times at once, to ``processes`` processes."""
    ledger, answers = Ledger(), Counter[str]()
    async with (
        Fleet(database_url, processes) as fleet,
        httpx2.AsyncClient(
            timeout=30, limits=httpx2.Limits(max_connections=copies * 2, max_keepalive_connections=copies * 2)
        ) as client,
    ):
        before = read_stock(audit_url)
        headers = fleet.bearer("alice")
        probe = asyncio.create_task(_probe(fleet, stop := asyncio.Event()))
        await asyncio.sleep(IDLE_SECONDS)
        stop.set()
        idle = await probe
        probe = asyncio.create_task(_probe(fleet, stop := asyncio.Event()))
        for _ in range(keys):
            key = uuid4().hex
            ledger.sent.add(key)
            body = {"sku": "chair-oak", "quantity": 1, "note": key}

            async def copy(number: int, key: str = key, body: dict[str, object] = body) -> None:
                url = f"{fleet.processes[number % processes].url}/v1/orders"
                answer = await client.post(url, json=body, headers={**headers, "idempotency-key": key})
                replayed = answer.headers.get("idempotent-replayed") == "true"
                answers["replayed" if replayed else str(answer.status_code)] += 1
                if answer.status_code == 201:
                    ledger.acknowledge(key, answer.json()["id"], replayed=replayed)
                elif answer.status_code != 409:
                    ledger.faults.append(f"{key}: {answer.status_code} {answer.text[:200]}")

            await asyncio.gather(*map(copy, range(copies)))
            await asyncio.sleep(PAUSE)
        stop.set()
        loaded = await probe
        faults = audit(ledger, audit_url, before)
    faults += [f"{key}: nobody was told of success" for key in ledger.sent - ledger.acknowledged.keys()]
    return Outcome(answers, _figures(idle), _figures(loaded), faults)


async def _probe(fleet: Fleet, stop: asyncio.Event) -> list[float]:
    """Ask for something unrelated fifty times a second, as another caller, and return how long each took."""
    taken = []
    headers = fleet.bearer("bob")
    async with httpx2.AsyncClient(timeout=30) as client:
        number = 0
        while not stop.is_set():
            number += 1
            started = time.perf_counter()
            answer = await client.get(f"{fleet.processes[number % fleet.size].url}/v1/inventory", headers=headers)
            taken.append(time.perf_counter() - started)
            answer.raise_for_status()
            await asyncio.sleep(0.02)
    return taken[fleet.size * 2 :]  # the first of each process open its connections


def _figures(taken: list[float]) -> tuple[float, float]:
    quantiles = statistics.quantiles(taken, n=100)
    return round(quantiles[49] * 1000, 1), round(quantiles[98] * 1000, 1)

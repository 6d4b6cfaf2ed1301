"""Clients as they should be: each order has a key, and is sent again with it until somebody says what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2

if TYPE_CHECKING:
    from tests.torture.fleet import Fleet
    from tests.torture.ledger import Ledger

FREE = ("swatch-oak", "swatch-pine", "swatch-brass")
PRICED = ("chair-oak", "desk-pine", "lamp-brass")
PATIENCE = 60.0
"""Seconds after which a key counts as stuck. Whatever holds it dies within a request's five."""
ASK_AGAIN = 0.1
"""Share of the acknowledged keys that are sent once more, to see the same answer."""


async def order_until(stop: asyncio.Event, fleet: Fleet, ledger: Ledger, subject: str, seed: int) -> None:
    """Place orders one after the other until told to stop, and bring the last one to its end."""
    chance = random.Random(seed)
    headers = fleet.bearer(subject)
    limits = httpx2.Limits(max_keepalive_connections=8)
    async with httpx2.AsyncClient(timeout=10, limits=limits) as client:
        while not stop.is_set():
            key = uuid4().hex
            ledger.sent.add(key)
            body = {
                "sku": chance.choice(PRICED if fleet.external else FREE),
                "quantity": chance.randint(1, 3),
                "note": key,
            }
            await settle(client, fleet, ledger, {**headers, "idempotency-key": key}, body, chance)
            if chance.random() < ASK_AGAIN:
                await settle(client, fleet, ledger, {**headers, "idempotency-key": key}, body, chance)


STEPS_OF_A_WALK = 10


async def walk_until(stop: asyncio.Event, fleet: Fleet, ledger: Ledger, subject: str, seed: int) -> None:
    """Note steps whose jobs have to be done in order, one walk after the other, until told to stop."""
    chance = random.Random(seed)
    headers = fleet.bearer(subject)
    async with httpx2.AsyncClient(timeout=10) as client:
        while not stop.is_set():
            walk = uuid4().hex
            for number in range(STEPS_OF_A_WALK):
                key = {**headers, "idempotency-key": uuid4().hex}
                if not await _note(client, fleet, key, {"walk": walk, "number": number}, chance):
                    ledger.faults.append(f"{walk}: step {number} is stuck")
                    break
                ledger.walks[walk] = number + 1


async def _note(
    client: httpx2.AsyncClient, fleet: Fleet, headers: dict[str, str], body: dict[str, object], chance: random.Random
) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(httpx2.HTTPError):
            url = f"{chance.choice(fleet.processes).url}/v1/steps"
            if (await client.post(url, json=body, headers=headers)).status_code == 201:
                return True
        await asyncio.sleep(chance.uniform(0.01, 0.05))
    return False


async def settle(
    client: httpx2.AsyncClient,
    fleet: Fleet,
    ledger: Ledger,
    headers: dict[str, str],
    body: dict[str, object],
    chance: random.Random,
) -> None:
    """Send one order again and again until it is acknowledged."""
    key = headers["idempotency-key"]
    started, broken, reached = time.monotonic(), False, 0.0
    while time.monotonic() - started < PATIENCE:
        url = f"{chance.choice(fleet.processes).url}/v1/orders"
        sent = time.monotonic()
        try:
            answer = await client.post(url, json=body, headers=headers)
        except httpx2.ConnectError:
            ledger.refused["no connection"] += 1  # nothing was sent
        except httpx2.HTTPError:
            ledger.refused["broken off"] += 1
            broken, reached = True, 0.0
        else:
            ledger.slowest = max(ledger.slowest, time.monotonic() - sent)
            reached = reached or sent
            if answer.status_code == 201:
                replayed = answer.headers.get("idempotent-replayed") == "true"
                ledger.acknowledge(key, answer.json()["id"], replayed=replayed)
                if broken:
                    ledger.recovery.append(time.monotonic() - reached)
                return
            ledger.refused[str(answer.status_code)] += 1
            if answer.status_code not in {409, 429, 502, 503, 504}:
                ledger.faults.append(f"{key}: {answer.status_code} {answer.text[:200]}")
                return
            if answer.status_code in {409, 503} and "retry-after" not in answer.headers:
                ledger.faults.append(f"{key}: {answer.status_code} without Retry-After")
        await asyncio.sleep(chance.uniform(0.01, 0.05))
    ledger.faults.append(f"{key}: stuck for {PATIENCE:g} s")

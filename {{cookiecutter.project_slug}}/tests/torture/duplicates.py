"""The same request fifty times at once, over several processes: one effect, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
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
        probe = await _probe(fleet)
        await asyncio.sleep(IDLE_SECONDS)
        idle = await _taken(probe)
        probe = await _probe(fleet)
        for _ in range(keys):
            key = uuid4().hex
            ledger.sent.add(key)
            body = {"sku": "swatch-oak", "quantity": 1, "note": key}

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
        loaded = await _taken(probe)
        faults = audit(ledger, audit_url, before)
    faults += [f"{key}: nobody was told of success" for key in ledger.sent - ledger.acknowledged.keys()]
    return Outcome(answers, _figures(idle), _figures(loaded), faults)


async def _probe(fleet: Fleet) -> asyncio.subprocess.Process:
    """Start another caller, in a process of its own, that asks for something unrelated."""
    ports = [str(process.port) for process in fleet.processes]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.torture.probe",
        fleet.bearer("bob")["authorization"],
        *ports,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _taken(probe: asyncio.subprocess.Process) -> list[float]:
    """Stop the other caller and return how long each of its requests took, in seconds."""
    said, _ = await probe.communicate(b"")  # with None, Python 3.11 leaves the input open
    taken: list[float] = json.loads(said)
    return taken


def _figures(taken: list[float]) -> tuple[float, float]:
    quantiles = statistics.quantiles(taken, n=100)
    return round(quantiles[49] * 1000, 1), round(quantiles[98] * 1000, 1)

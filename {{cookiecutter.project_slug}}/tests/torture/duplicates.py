"""The same request fifty times at once, over several processes: one effect, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from tests.torture.fleet import Fleet
from tests.torture.flood import Answer
from tests.torture.ledger import Ledger, audit, read_stock

IDLE_SECONDS = 30.0


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


async def storm(
    database_url: str, audit_url: str, *, keys: int, copies: int, processes: int, one_machine: bool
) -> Outcome:
    """Send ``keys`` orders, each ``copies`` times at once, to ``processes`` processes."""
    ledger, answers = Ledger(), Counter[str]()
    async with Fleet(database_url, processes, one_machine=one_machine) as fleet:
        before = read_stock(audit_url)
        probe = await _probe(fleet)
        await asyncio.sleep(IDLE_SECONDS)
        idle = await _taken(probe)
        probe = await _probe(fleet)
        for told in await _flood(fleet, keys, copies):
            ledger.sent.add(told.key)
            answers["replayed" if told.replayed else str(told.status)] += 1
            if told.status == HTTPStatus.CREATED:
                ledger.acknowledge(told.key, json.loads(told.body)["id"], replayed=told.replayed)
            elif told.status != HTTPStatus.CONFLICT:
                ledger.faults.append(f"{told.key}: {told.status} {told.body[:200]}")
        loaded = await _taken(probe)
        faults = audit(ledger, audit_url, before)
    faults += [f"{key}: nobody was told of success" for key in ledger.sent - ledger.acknowledged.keys()]
    return Outcome(answers, _figures(idle), _figures(loaded), faults)


async def _flood(fleet: Fleet, keys: int, copies: int) -> list[Answer]:
    """Have a process of its own send the copies, and return what they were told."""
    flood = await _beside(fleet, "flood", "alice", str(keys), str(copies))
    said, _ = await flood.communicate()
    return [Answer(**told) for told in json.loads(said)]


async def _probe(fleet: Fleet) -> asyncio.subprocess.Process:
    """Start another caller that asks for something unrelated."""
    return await _beside(fleet, "probe", "bob")


async def _beside(fleet: Fleet, module: str, caller: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a process that asks all of the fleet for something."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.torture.{module}",
        fleet.bearer(caller)["authorization"],
        *arguments,
        *(str(process.port) for process in fleet.processes),
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

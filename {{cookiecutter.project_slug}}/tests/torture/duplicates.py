"""The same request fifty times at once, over several processes: one effect, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

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


class Flood:
    """Sends copies of a request over connections that are kept, with as little work as can be.

    What is measured beside it shares the machine with it: an HTTP client of the usual kind takes more of the processor
    for fifty requests than the service does.
    """

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization
        self._idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    async def post(self, port: int, key: str, body: bytes) -> tuple[int, bytes, bytes]:
        """Place an order and return the status, the head of the answer in lower case, and its body."""
        idle = self._idle.setdefault(port, [])
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(30):
            writer.write(
                f"POST /v1/orders HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {self._authorization}\r\n"
                f"idempotency-key: {key}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.index(b"content-length: ") + len(b"content-length: ")
            answer = await reader.readexactly(int(head[length : head.index(b"\r\n", length)]))
        idle.append((reader, writer))
        return int(head[9:12]), head, answer

    def close(self) -> None:
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()


async def storm(database_url: str, audit_url: str, *, keys: int, copies: int, processes: int) -> Outcome:
    """Send ``keys`` orders, each ``copies`` times at once, to ``processes`` processes."""
    ledger, answers = Ledger(), Counter[str]()
    async with Fleet(database_url, processes) as fleet:
        before = read_stock(audit_url)
        flood = Flood(fleet.bearer("alice")["authorization"])
        probe = await _probe(fleet)
        await asyncio.sleep(IDLE_SECONDS)
        idle = await _taken(probe)
        probe = await _probe(fleet)
        for _ in range(keys):
            key = uuid4().hex
            ledger.sent.add(key)
            body = json.dumps({"sku": "swatch-oak", "quantity": 1, "note": key}).encode()

            async def copy(number: int, key: str = key, body: bytes = body) -> None:
                status, head, answer = await flood.post(fleet.processes[number % processes].port, key, body)
                replayed = b"idempotent-replayed: true" in head
                answers["replayed" if replayed else str(status)] += 1
                if status == 201:
                    ledger.acknowledge(key, json.loads(answer)["id"], replayed=replayed)
                elif status != 409:
                    ledger.faults.append(f"{key}: {status} {answer[:200]!r}")

            await asyncio.gather(*map(copy, range(copies)))
            await asyncio.sleep(PAUSE)
        loaded = await _taken(probe)
        flood.close()
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

"""A payments service that is healthy, dead, hangs and flaps: what calls cost, how many reach it, who else suffers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2

from app.simulators.payments import Behaviour
from app.upstreams import UpstreamError
from app.upstreams.pipeline import LAYERS
from tests.support.upstreams import Bench, bench, simulated_in_a_thread
from tests.torture.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOBODY = "http://127.0.0.1:9"
"""The discard port, where nobody listens."""

CHARGE: dict[str, Any] = {"amount": 500, "currency": "EUR", "reference": "torture"}


# --- what the pipeline costs ----------------------------------------------------------------------------------------


async def cost(*, calls: int, rounds: int) -> dict[str, float]:
    """Return the CPU microseconds of a call by plain httpx2 and through the pipeline, medians of interleaved rounds.

    The simulator runs in another process, so that only the caller's side is counted.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "simulate", "payments", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().rpartition(" ")[2].strip()
    try:
        async with bench(url=url) as on, httpx2.AsyncClient(base_url=url, timeout=5.0, trust_env=False) as client:
            payments = on.client()
            made = await payments.charge(**CHARGE)

            async def plain() -> None:
                answer = await client.get(f"/v1/charges/{made.id}")
                answer.raise_for_status()
                answer.json()

            async def guarded() -> None:
                (await payments.get("/v1/charges/{id}", values={"id": made.id})).json()

            async def typed() -> None:
                await payments.read(made.id)

            taken: dict[str, list[float]] = {"plain": [], "guarded": [], "typed": []}
            for number in range(rounds + 1):
                for name, call in (("plain", plain), ("guarded", guarded), ("typed", typed)):
                    spent = await _spend(call, calls)
                    if number:  # the first round warms up
                        taken[name].append(spent)
    finally:
        process.terminate()
        await process.wait()
    return {name: round(statistics.median(values), 1) for name, values in taken.items()}


async def _spend(call: Callable[[], Awaitable[None]], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - began) / times * 1e6


# --- a dead one -----------------------------------------------------------------------------------------------------


async def attempts_on_a_dead_one(*, calls: int, rate: float, without_breaker: bool) -> int:
    """Call somebody who is not there, so many times at a steady rate, and return how many attempts that made."""
    layers = tuple(layer for layer in LAYERS if not (without_breaker and layer.name == "circuit_breaker"))
    async with bench(url=NOBODY, layers=layers) as on:

        async def one(number: int) -> None:
            with contextlib.suppress(UpstreamError):
                await on.client(key_for=lambda name: f"{number}-{name}").charge(**CHARGE)

        await _steadily(one, calls, rate)
        return sum(on.seen.counts("http.client.request.duration").values())


async def _steadily(one: Callable[[int], Awaitable[None]], calls: int, rate: float) -> None:
    """Begin a call each ``1 / rate`` seconds, whatever becomes of those before, and wait for all of them."""
    began, tasks = time.monotonic(), []
    for number in range(calls):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.ensure_future(one(number)))
    await asyncio.gather(*tasks)


@dataclass(frozen=True)
class Suffering:
    """What callers of a service met whose payments hang.

    Attributes:
        statuses: of the orders.
        p99: seconds of the orders.
        idle: median and p99 of an unrelated request before, in milliseconds.
        loaded: the same, meanwhile.
    """

    statuses: dict[str, int]
    p99: float
    idle: tuple[float, float]
    loaded: tuple[float, float]


async def suffer(database_url: str, mode: str, *, orders: int, rate: float) -> Suffering:
    """Place orders at a steady rate while payments are dead or hang; another caller asks for something unrelated."""
    with simulated_in_a_thread() as (simulator, url):
        simulator.behaviour = Behaviour(mode="hang") if mode == "hangs" else Behaviour()
        payments = NOBODY if mode == "dead" else url
        async with Fleet(database_url, 1, {"APP_PAYMENTS_URL": payments}, external=True) as fleet:
            (process,) = fleet.processes
            idle = await _unrelated(fleet, asyncio.sleep(10))
            statuses: dict[str, int] = {}
            taken: list[float] = []
            limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
            async with httpx2.AsyncClient(timeout=30, limits=limits) as client:

                async def one(number: int) -> None:
                    headers = {**fleet.bearer(f"customer-{number % 50}"), "idempotency-key": uuid4().hex}
                    began = time.monotonic()
                    answer = await client.post(
                        f"{process.url}/v1/orders", json={"sku": "chair-oak", "quantity": 1}, headers=headers
                    )
                    taken.append(time.monotonic() - began)
                    statuses[str(answer.status_code)] = statuses.get(str(answer.status_code), 0) + 1

                loaded = await _unrelated(fleet, _steadily(one, orders, rate))
    taken.sort()
    return Suffering(statuses, taken[int(len(taken) * 0.99)], idle, loaded)


async def _unrelated(fleet: Fleet, meanwhile: Awaitable[None]) -> tuple[float, float]:
    """Return the median and the p99 of an unrelated request, in milliseconds, while something else goes on."""
    token = fleet.bearer("unrelated")["authorization"]
    ports = [str(process.port) for process in fleet.processes]
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.torture.probe", token, *ports,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await meanwhile
    out, _ = await probe.communicate(b"")
    taken = sorted(json.loads(out))
    return round(statistics.median(taken) * 1000, 1), round(taken[int(len(taken) * 0.99)] * 1000, 1)


# --- one that flaps -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flapping:
    """What reached a service that worked for two seconds and failed for two, in turn.

    Attributes:
        steady: attempts in 100 ms before.
        worst: the most attempts in any 100 ms of the first second after a return.
        after_the_end: seconds from when it had stopped flapping to the first call that went well.
        longest_break: of the circuit, in seconds, while it flapped.
        well: calls that went well in the end, of all.
    """

    steady: float
    worst: int
    after_the_end: float
    longest_break: float
    well: tuple[int, int]


async def flap(*, seconds: float, rate: float, period: float = 2.0) -> Flapping:
    """Have clients that try again call at a steady rate, while the service flaps; then look when it works again."""
    chance, well = random.Random(5), [0, 0]
    async with bench() as on:
        breaks: list[float] = []

        async def one(number: int) -> None:
            well[1] += 1
            for attempt in range(4):
                try:
                    await on.client(key_for=lambda name: f"{number}-{name}").charge(**CHARGE)
                except UpstreamError as error:
                    # As a client should: not before it was told to, and then not when everybody else does.
                    told = error.retry_after or 0.0
                    breaks.append(told)
                    await asyncio.sleep(told + chance.uniform(0, max(told, 0.5 * 2**attempt)))
                else:
                    well[0] += 1
                    return

        refusal, arrived = on.simulator._refusal, list[float]()

        def noting() -> Any:
            arrived.append(time.monotonic())
            return refusal()

        on.simulator._refusal = noting  # type: ignore[method-assign]
        await _steadily(one, int(rate * 5), rate)
        steady = len(arrived) / 50
        on.behave(mode="flapping", period=period)
        on.simulator._since = on.simulator._clock()
        started = time.monotonic()
        clients = asyncio.create_task(_steadily(one, int(rate * seconds), rate))
        await asyncio.sleep(seconds)
        on.behave()
        ended = time.monotonic()
        first = await _first_success(on)
        await clients
    # It begins well, so it returns after each second turn; and at the end.
    returns = [*(started + 2 * turn * period for turn in range(1, int(seconds / period / 2))), ended]
    worst = max((_most(arrived, back) for back in returns), default=0)
    return Flapping(steady, worst, first - ended, max(breaks, default=0.0), (well[0], well[1]))


def _most(arrived: list[float], back: float) -> int:
    """Return the most arrivals in any tenth of a second of the first one after ``back``."""
    times = [at for at in arrived if back <= at < back + 1.0]
    return max((sum(at <= other < at + 0.1 for other in times) for at in times), default=0)


async def _first_success(on: Bench) -> float:
    while True:
        with contextlib.suppress(UpstreamError):
            await on.client(key_for=lambda name: f"{uuid4().hex}-{name}").charge(**CHARGE)
            return time.monotonic()
        await asyncio.sleep(0.05)

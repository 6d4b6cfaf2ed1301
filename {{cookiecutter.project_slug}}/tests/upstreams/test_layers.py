"""Each layer of the pipeline does its work over a real socket, and is missed when it is taken out."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from app.upstreams import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from app.upstreams.pipeline import LAYERS
from tests.support.upstreams import Bench, bench

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHARGE: dict[str, Any] = {"amount": 500, "currency": "EUR", "reference": "order 7"}
PROBES: dict[str, tuple[dict[str, Any], Callable[[Bench], Awaitable[None]]]] = {}


def probe(**declared: Any) -> Callable[[Callable[[Bench], Awaitable[None]]], Callable[[Bench], Awaitable[None]]]:
    def note(function: Callable[[Bench], Awaitable[None]]) -> Callable[[Bench], Awaitable[None]]:
        PROBES[function.__name__] = (declared, function)
        return function

    return note


class Scripted(random.Random):
    """Has the first requests fail, and no more."""

    def __init__(self, failures: int) -> None:
        super().__init__(7)
        self.failures = failures

    def random(self) -> float:
        self.failures -= 1
        return 0.0 if self.failures >= 0 else 1.0


async def failure_of(call: Awaitable[Any]) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await call
    return caught.value


@probe()
async def seen(on: Bench) -> None:
    """A call is counted by its outcome, and its error says which service it was."""
    on.behave(mode="rate_limited")
    error = await failure_of(on.client().read("ch_1"))
    assert error.upstream == "payments"
    assert on.seen.counts("breakwater.upstream.call.duration") == {("payments", "status_429"): 1}


@probe(attempts=1, attempt_timeout=1.0)
async def total_timeout(on: Bench) -> None:
    """A call ends with the deadline of its request."""
    on.behave(mode="hang")
    error = await failure_of(on.client(remaining=lambda: 0.3).read("ch_1"))
    assert type(error) is UpstreamTimeout
    assert int(on.simulator.last["x-request-timeout-ms"]) <= 280


@probe()
async def retry(on: Bench) -> None:
    """A charge that failed is tried again with the same key."""
    on.simulator._random = Scripted(failures=2)
    on.behave(error_rate=0.5)
    charge = await on.client().charge(**CHARGE)
    assert (charge.status, on.simulator.requests, len(on.simulator.charges)) == ("succeeded", 3, 1)


@probe(hedge_after=0.1, attempts=1)
async def hedging(on: Bench) -> None:
    """An answer that is late is asked for again."""
    charge = await on.client().charge(**CHARGE)
    on.simulator.arrived.clear()
    on.behave(mode="hang")

    async def recover() -> None:
        await on.simulator.arrived.wait()
        on.behave()

    recovery = asyncio.create_task(recover())
    assert await on.client().read(charge.id) == charge
    await recovery


@probe(attempts=1)
async def circuit_breaker(on: Bench) -> None:
    """A service that fails is left alone."""
    on.behave(error_rate=1.0)
    errors = [await failure_of(on.client().read("ch_1")) for _ in range(60)]
    assert on.simulator.requests <= 20
    assert isinstance(errors[-1], UpstreamUnavailable)
    assert errors[-1].reason == "circuit_open"
    assert errors[-1].retry_after is not None
    assert on.pipeline.check()["state"] == "degraded"


@probe(concurrency=2, queue=2, attempts=1)
async def bulkhead(on: Bench) -> None:
    """So many calls at a time, so many that wait, and the others are told at once."""
    on.behave(latency=0.2)
    results = await asyncio.gather(*(on.client().read("ch_1") for _ in range(10)), return_exceptions=True)
    reasons = [result.reason for result in results if isinstance(result, UpstreamError)]
    assert reasons.count("bulkhead_full") == 6
    assert on.simulator.peak == 2


@probe(attempt_timeout=0.3, timeout=3.0)
async def attempt_timeout(on: Bench) -> None:
    """An attempt that hangs leaves time for another."""
    on.behave(mode="hang")

    async def recover() -> None:
        await on.simulator.arrived.wait()
        on.behave()

    recovery = asyncio.create_task(recover())
    charge = await on.client().charge(**CHARGE)
    await recovery
    assert (charge.status, len(on.simulator.charges)) == ("succeeded", 1)


@probe()
async def attempt(on: Bench) -> None:
    """The request's id, its key and the time that it has left travel along."""
    await on.client(remaining=lambda: 2.0).charge(**CHARGE)
    assert on.simulator.last["x-request-id"] == "a" * 32
    assert on.simulator.last["idempotency-key"] == "key-payments:charge"
    assert 0 < int(on.simulator.last["x-request-timeout-ms"]) <= 1980


def test_there_is_a_probe_for_every_layer() -> None:
    assert [layer.name for layer in LAYERS] == list(PROBES)


@pytest.mark.parametrize("name", PROBES)
async def test_the_layer_does_its_work(name: str) -> None:
    declared, function = PROBES[name]
    async with bench(**declared) as on:
        await function(on)


@pytest.mark.parametrize("name", PROBES)
async def test_the_layer_is_missed_when_it_is_taken_out(name: str) -> None:
    declared, function = PROBES[name]
    rest = tuple(layer for layer in LAYERS if layer.name != name)
    async with bench(layers=rest, **declared) as on:
        with pytest.raises((AssertionError, UpstreamError, KeyError, TimeoutError)):
            await function(on)

"""Minutes in which much happens to a service, so that a dashboard has something to show.

Callers come in waves; the payments service fails, recovers and is slow; a caller goes past its rate; more come than can
be served; one handler fails until it is out of service, and one tries what it may not.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2

from app.simulators.payments import Behaviour

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from app.simulators.payments import PaymentsSimulator
    from tests.support.service import Service

CALLERS = 12
CROWD = 60
"""Requests at a time, on each of two routes, of those that come at once: together twice what the service takes."""

CHARGE = "charge-of-nobody"


@dataclass
class Shift:
    """The service, its callers, and how far the shift is."""

    service: Service
    payments: PaymentsSimulator
    client: httpx2.AsyncClient
    seconds: float
    begun: float

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return (time.monotonic() - self.begun) / self.seconds

    def within(self, start: float, end: float) -> bool:
        """Tell whether the shift is in this part of it."""
        return start <= self.progress < end

    def headers(self, number: int) -> Mapping[str, str]:
        """Return what one of the callers sends, with a new idempotency key."""
        caller = self.service.bearer("writer", subject=f"caller-{number % CALLERS}")
        return {**caller, "idempotency-key": uuid4().hex}

    async def get(self, path: str, number: int = 0) -> None:
        """Send a GET as one of the callers."""
        await self.client.get(path, headers=self.headers(number))

    async def every(self, pause: Callable[[], float], act: Callable[[int], Awaitable[None]]) -> None:
        """Act again and again until the shift is over, whatever comes of it.

        Args:
            pause: seconds between two acts; not acting is a long one.
            act: gets the number of the act.
        """
        number = 0
        async with asyncio.TaskGroup() as acts:
            while self.progress < 1:
                acts.create_task(self._once(act, number))
                number += 1
                await asyncio.sleep(pause())

    async def _once(self, act: Callable[[int], Awaitable[None]], number: int) -> None:
        with contextlib.suppress(httpx2.HTTPError):
            await act(number)

    def wave(self, low: float, high: float, waves: float) -> float:
        """Return a rate a second between two, that comes and goes so many times in the shift."""
        return low + (high - low) * (0.5 - 0.5 * math.cos(2 * math.pi * waves * self.progress))

    async def read(self, number: int) -> None:
        await self.get(f"/probe/items/{number % 50}", number)

    async def write(self, number: int) -> None:
        mode = "fail" if self.within(0.5, 0.6) else "well"
        letter = {"text": f"letter {number}", "mode": mode}
        await self.client.post("/post", headers=self.headers(number), json=letter)

    async def pay(self, number: int) -> None:
        charge = (await self.client.post("/pay", headers=self.headers(number))).json().get("id", CHARGE)
        await self.get(f"/pay/{charge}", number)
        await self.get(f"/pay/{charge}/or-nothing", number)

    async def add(self, number: int) -> None:
        await self.client.get("/unruly/sum", params={"left": number, "right": 1})

    async def stray(self, number: int) -> None:
        await self.client.get("/nowhere" if number % 3 else "/probe/items/1")  # nobody says who that is

    async def hurry(self, _number: int) -> None:
        """One caller past the rate of its route, for a while."""
        if self.within(0.12, 0.3):
            await self.get("/pay/none/or-stale")

    async def crowd(self, _number: int) -> None:
        """More at a time than can be served, for a while."""
        while self.within(0.62, 0.7):
            waiting = [self.client.get("/unruly/backend") for _ in range(CROWD)]
            computing = [self.client.get("/unruly/work", params={"milliseconds": "5"}) for _ in range(CROWD)]
            await asyncio.gather(*waiting, *computing, return_exceptions=True)

    async def hold(self, _number: int) -> None:
        """Synchronous handlers that hold a thread each, until all are let go."""
        if self.within(0.46, 0.56):
            await self.client.get("/unruly/stuck")
        elif self.within(0.56, 1):
            await self.client.post("/unruly/let-go")

    async def fail(self, _number: int) -> None:
        """A handler that fails, until it is out of service and after."""
        if self.within(0.74, 0.9):
            await self.client.get("/unruly/raise")

    async def misbehave(self, number: int) -> None:
        """A handler that tries what it may not, and one that holds the event loop."""
        if self.within(0.2, 0.95):
            await self.client.post("/holes/shell", json={"what": "a"})
            if number % 2:
                await self.client.get("/unruly/spin", params={"seconds": "0.3"})

    async def steer(self, _number: int) -> None:
        """The payments service works, fails, works, and is slow."""
        if self.within(0.32, 0.44):
            self.payments.behaviour = Behaviour(error_rate=0.9, latency=0.05)
        elif self.within(0.5, 0.58):
            self.payments.behaviour = Behaviour(latency=0.25)
        else:
            self.payments.behaviour = Behaviour(latency=0.02)


async def _work(service: Service, payments: PaymentsSimulator, seconds: float) -> None:
    limits = httpx2.Limits(max_connections=4 * CROWD)
    async with (
        httpx2.AsyncClient(base_url=service.url, timeout=20, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        it = Shift(service, payments, client, seconds, time.monotonic())
        for pause, act in (
            (lambda: 1 / it.wave(8, 30, 3), it.read),
            (lambda: 1 / it.wave(1, 4, 2), it.write),
            (lambda: 1 / it.wave(3, 8, 2.5), it.pay),
            (lambda: 1 / it.wave(1, 6, 1.5), it.add),
            (lambda: 1 / it.wave(0.3, 1.2, 4), it.stray),
            (lambda: 0.25, it.hurry),
            (lambda: seconds / 60, it.hold),
            (lambda: 0.5, it.fail),
            (lambda: seconds / 12, it.misbehave),
            (lambda: 1.0, it.steer),
        ):
            group.create_task(it.every(pause, act))
        await asyncio.sleep(0.62 * seconds)
        group.create_task(it.crowd(0))


def shift(service: Service, payments: PaymentsSimulator, seconds: float) -> None:
    """Send requests for so many seconds, of every kind that a panel tells of."""
    asyncio.run(_work(service, payments, seconds))

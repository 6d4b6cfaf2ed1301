"""So many at a time, so many wait, the others are told; and no place is ever lost."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from app.patterns.bulkhead import Bulkhead, BulkheadConfig, BulkheadFull


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Calls that end when they are told to, and how many of them run."""

    def __init__(self) -> None:
        self.running = self.peak = 0
        self.order: list[Any] = []
        self.gate = asyncio.Event()

    async def do(self, name: object = None) -> object:
        self.order.append(name)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return name


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def start(bulkhead: Bulkhead, work: Work, count: int, **arguments: Any) -> list[asyncio.Task[object]]:
    return [asyncio.create_task(bulkhead.call(work.do, number, **arguments)) for number in range(count)]


async def test_so_many_run_so_many_wait_and_the_next_is_refused_at_once() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=2, queue=3)), Work()
    tasks = start(bulkhead, work, 5)
    await settle()
    assert (work.running, bulkhead.in_flight, bulkhead.queued) == (2, 2, 3)
    with pytest.raises(BulkheadFull) as caught:
        await bulkhead.call(work.do)
    assert (caught.value.reason, caught.value.retry_after) == ("queue_full", 1.0)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert (work.order, work.peak, bulkhead.in_flight, bulkhead.queued) == ([0, 1, 2, 3, 4], 2, 0, 0)


async def test_without_a_queue_nobody_waits() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=0)), Work()
    tasks = start(bulkhead, work, 1)
    await settle()
    with pytest.raises(BulkheadFull):
        await bulkhead.call(work.do)
    work.gate.set()
    await asyncio.gather(*tasks)


async def test_a_call_that_fails_gives_its_place_back() -> None:
    bulkhead = Bulkhead(BulkheadConfig(concurrency=1, queue=0))

    async def fails() -> None:
        raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            await bulkhead.call(fails)
    assert bulkhead.in_flight == 0


async def test_a_wait_ends_when_the_callers_time_does() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=5)), Work()
    tasks = start(bulkhead, work, 1)
    await settle()
    with pytest.raises(BulkheadFull) as caught:
        await bulkhead.call(work.do, remaining=lambda: 0.01)
    assert (caught.value.reason, bulkhead.queued) == ("timeout", 0)
    work.gate.set()
    await asyncio.gather(*tasks)
    assert bulkhead.in_flight == 0


async def test_a_caller_without_a_deadline_waits_for_no_longer_than_the_bound() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=5, max_wait=0.01)), Work()
    tasks = start(bulkhead, work, 1)
    await settle()
    with pytest.raises(BulkheadFull, match="timeout"):
        await bulkhead.call(work.do)
    work.gate.set()
    await asyncio.gather(*tasks)


async def test_a_caller_whose_turn_would_come_too_late_is_told_so_at_once() -> None:
    clock = Clock()
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=10), clock=clock), Work()

    async def takes(seconds: float) -> None:
        clock.now += seconds

    for _ in range(200):
        await bulkhead.call(takes, 2.0)
    tasks = start(bulkhead, work, 2)
    await settle()
    assert bulkhead.expected_wait() == pytest.approx(4.0)
    with pytest.raises(BulkheadFull) as caught:
        await bulkhead.call(work.do, remaining=lambda: 3.9)
    assert caught.value.reason == "too_late"
    assert caught.value.retry_after == pytest.approx(4.0)
    patient = asyncio.create_task(bulkhead.call(work.do, remaining=lambda: 4.1))
    await settle()
    assert bulkhead.queued == 2
    work.gate.set()
    await asyncio.gather(*tasks, patient)


async def test_a_caller_without_time_left_is_refused_where_it_would_wait() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=5)), Work()
    tasks = start(bulkhead, work, 1)
    await settle()
    with pytest.raises(BulkheadFull, match="too_late"):
        await bulkhead.call(work.do, remaining=lambda: 0.0)
    work.gate.set()
    await asyncio.gather(*tasks)


async def test_who_leaves_the_queue_takes_no_place_along() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=5)), Work()
    tasks = start(bulkhead, work, 4)
    await settle()
    tasks[1].cancel()
    await settle()
    assert bulkhead.queued == 2
    work.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (work.order, bulkhead.in_flight) == ([0, 2, 3], 0)


async def test_who_leaves_in_the_moment_of_its_turn_gives_the_place_on() -> None:
    bulkhead, work = Bulkhead(BulkheadConfig(concurrency=1, queue=5)), Work()
    tasks = start(bulkhead, work, 3)
    await settle()
    work.gate.set()
    await asyncio.sleep(0)  # the first ends, and the second's turn is set
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait_for(tasks[2], 30.0)
    await settle()
    assert (bulkhead.in_flight, bulkhead.queued) == (0, 0)


async def test_whoever_leaves_whenever_no_place_is_lost_and_none_is_added() -> None:
    rng = random.Random(11)
    for _ in range(300):
        bulkhead = Bulkhead(BulkheadConfig(concurrency=rng.randint(1, 3), queue=rng.randint(0, 4)))
        peak = 0

        async def work(steps: int, bulkhead: Bulkhead = bulkhead) -> None:
            nonlocal peak
            peak = max(peak, bulkhead.in_flight)
            for _ in range(steps):
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(bulkhead.call(work, rng.randint(0, 4))) for _ in range(rng.randint(1, 10))]
        while not all(task.done() for task in tasks):
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (bulkhead.in_flight, bulkhead.queued) == (0, 0)
        assert peak <= bulkhead.config.concurrency


async def test_waits_are_seen_and_calls_that_do_not_wait_are_not() -> None:
    clock, seen = Clock(), []
    bulkhead = Bulkhead(
        BulkheadConfig(concurrency=1, queue=5),
        clock=clock,
        observe=lambda event, *, seconds: seen.append((event, seconds)),
    )
    work = Work()
    tasks = start(bulkhead, work, 2)
    await settle()
    clock.now += 1.5
    work.gate.set()
    await asyncio.gather(*tasks)
    assert seen == [("queued", 1.5)]


async def test_it_is_a_decorator() -> None:
    @Bulkhead().wrap
    async def double(value: int) -> int:
        return 2 * value

    assert await double(4) == 8


@pytest.mark.parametrize("config", [{"concurrency": 0}, {"queue": -1}, {"max_wait": 0.0}])
def test_a_bulkhead_without_places_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Bulkhead(BulkheadConfig(**config))

"""A second attempt beside a late first: paid for, the faster one wins, and nothing is left running."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.patterns.hedging import Hedging, HedgingConfig


class Attempts:
    """A function whose attempts end as they are told."""

    def __init__(self) -> None:
        self.ends: list[asyncio.Future[str]] = []
        self.cancelled = 0

    async def __call__(self) -> str:
        self.ends.append(asyncio.get_running_loop().create_future())
        try:
            return await self.ends[-1]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Bench:
    def __init__(self, *, pays: bool = True, **config: float) -> None:
        self.others = asyncio.all_tasks()
        self.attempts, self.late = Attempts(), asyncio.Event()
        self.slept: list[float] = []
        self.seen: list[str] = []
        self.hedging = Hedging(HedgingConfig(**config), pay=lambda: pays, sleep=self.sleep, observe=self.see)
        self.task = asyncio.create_task(self.hedging.call(self.attempts))

    def see(self, event: str) -> None:
        self.seen.append(event)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.late.wait()

    def nothing_is_left(self) -> bool:
        return asyncio.all_tasks() == self.others

    async def hedge(self) -> None:
        await settle()
        self.late.set()
        await settle()

    async def end(self, number: int, value: str | Exception) -> None:
        await settle()
        if isinstance(value, Exception):
            self.attempts.ends[number].set_exception(value)
        else:
            self.attempts.ends[number].set_result(value)
        await settle()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_an_answer_in_time_is_returned_and_no_other_asked_for() -> None:
    bench = Bench(delay=0.25)
    await bench.end(0, "first")
    assert (await bench.task, len(bench.attempts.ends), bench.slept, bench.seen) == ("first", 1, [0.25], [])
    assert bench.nothing_is_left()


async def test_a_late_answer_is_asked_for_again_and_the_faster_one_wins() -> None:
    bench = Bench()
    await bench.hedge()
    await bench.end(1, "second")
    assert (await bench.task, bench.seen, bench.attempts.cancelled) == ("second", ["hedged", "won"], 1)
    assert bench.nothing_is_left()


async def test_the_first_may_still_win() -> None:
    bench = Bench()
    await bench.hedge()
    await bench.end(0, "first")
    assert (await bench.task, bench.seen, bench.attempts.cancelled) == ("first", ["hedged"], 1)
    assert bench.nothing_is_left()


async def test_what_cannot_be_paid_for_is_not_asked_for() -> None:
    bench = Bench(pays=False)
    await bench.hedge()
    assert (len(bench.attempts.ends), bench.seen) == (1, ["unpaid"])
    await bench.end(0, "first")
    assert await bench.task == "first"


async def test_a_failure_in_time_is_raised_and_not_hedged() -> None:
    bench = Bench()
    await bench.end(0, LookupError("no"))
    with pytest.raises(LookupError, match="no"):
        await bench.task
    assert len(bench.attempts.ends) == 1


@pytest.mark.parametrize("fails", [0, 1])
async def test_a_failure_waits_for_the_other(fails: int) -> None:
    bench = Bench()
    await bench.hedge()
    await bench.end(fails, LookupError("no"))
    assert not bench.task.done()
    await bench.end(1 - fails, "well")
    assert await bench.task == "well"


async def test_if_both_fail_the_last_failure_is_raised() -> None:
    bench = Bench()
    await bench.hedge()
    await bench.end(0, LookupError("first"))
    await bench.end(1, LookupError("second"))
    with pytest.raises(LookupError, match="second"):
        await bench.task
    assert bench.nothing_is_left()


async def test_who_leaves_takes_both_attempts_along() -> None:
    bench = Bench()
    await bench.hedge()
    bench.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bench.task
    assert bench.attempts.cancelled == 2
    assert bench.nothing_is_left()


async def test_who_leaves_before_the_second_takes_the_first_along() -> None:
    bench = Bench()
    await settle()
    bench.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bench.task
    assert bench.attempts.cancelled == 1
    assert bench.nothing_is_left()


async def test_a_loser_that_does_not_end_is_not_waited_for_for_ever() -> None:
    begun, over = 0, asyncio.Event()

    async def stubborn() -> str:
        nonlocal begun
        begun += 1
        if begun == 2:
            return "second"
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        return "first"

    hedging = Hedging(HedgingConfig(delay=0.0, grace=0.01), pay=lambda: True)
    assert await asyncio.wait_for(hedging.call(stubborn), 30.0) == "second"
    over.set()
    await settle()


async def test_it_is_a_decorator() -> None:
    @Hedging(pay=lambda: True).wrap
    async def double(value: int) -> int:
        return 2 * value

    assert await double(4) == 8


@pytest.mark.parametrize("config", [{"delay": -0.1}, {"grace": -0.1}])
def test_a_negative_time_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Hedging(HedgingConfig(**config), pay=lambda: True)

"""A circuit opens for a service that fails or is slow, for no other reason, and always finds its way back."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.patterns.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen, State
from tests.support.wide import examples

if TYPE_CHECKING:
    from collections.abc import Callable


class Down(Exception):
    """The service's fault."""


class Refused(Exception):
    """The caller's fault: the service works."""


class Ours(Exception):
    """Says nothing about the service."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def verdict(error: Exception) -> bool | None:
    return None if isinstance(error, Ours) else isinstance(error, Down)


class Bench:
    """A circuit whose calls end as they are told; without jitter unless asked for."""

    def __init__(
        self, *, uniform: Callable[[float, float], float] = lambda low, _high: 1.0 if low else 0.0, **config: Any
    ) -> None:
        self.clock = Clock()
        self.seen: list[tuple[State, State]] = []
        self.circuit = CircuitBreaker(
            CircuitBreakerConfig(**config),
            is_failure=verdict,
            clock=self.clock,
            uniform=uniform,
            observe=lambda _event, *, was, state: self.seen.append((was, state)),
        )

    def state(self) -> State:
        return self.circuit.state

    async def call(self, outcome: BaseException | None = None, seconds: float = 0.0) -> bool:
        """Make a call; False if it was refused."""

        async def work() -> str:
            self.clock.now += seconds
            if outcome is not None:
                raise outcome
            return "well"

        try:
            assert await self.circuit.call(work) == "well"
        except CircuitOpen:
            return False
        except (Down, Refused, Ours, asyncio.CancelledError):
            pass
        return True

    async def trip(self) -> None:
        while self.state() is not State.OPEN:
            await self.call(Down())

    async def half_open(self, *, probe: BaseException | None = None) -> None:
        """Trip it, wait, and make the first probe."""
        await self.trip()
        self.clock.now += 1000.0
        await self.call(probe)


class Pending:
    """A call that is under way."""

    def __init__(self, bench: Bench) -> None:
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(bench.circuit.call(self.wait))
        self.entered = False

    async def wait(self) -> None:
        self.entered = True
        await self.end

    async def done(self, error: Exception | None = None) -> None:
        if error is None:
            self.end.set_result(None)
        else:
            self.end.set_exception(error)
        await asyncio.gather(self.task, return_exceptions=True)

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def begin(bench: Bench, count: int = 1) -> list[Pending]:
    calls = [Pending(bench) for _ in range(count)]
    await asyncio.sleep(0)
    return calls


# --- opening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", range(10))
async def test_at_six_failures_in_ten_it_opens_within_twice_the_minimum_throughput(offset: int) -> None:
    bench, calls = Bench(), 0
    pattern = [True, False, True, True, False, True, False, True, True, False]
    while bench.state() is State.CLOSED:
        await bench.call(Down() if pattern[(calls + offset) % 10] else None)
        calls += 1
    assert 20 <= calls <= 40


@pytest.mark.parametrize("offset", range(10))
async def test_at_one_failure_in_ten_it_never_opens(offset: int) -> None:
    bench = Bench()
    for number in range(5000):
        bench.clock.now += 0.05
        await bench.call(Down() if (number + offset) % 10 == 0 else None)
    assert bench.seen == []


async def test_at_one_failure_in_ten_by_chance_it_does_not_open_in_a_hundred_thousand_calls() -> None:
    bench, rng = Bench(), random.Random(5)
    for _ in range(examples(5_000)):
        bench.clock.now += 0.05
        await bench.call(Down() if rng.random() < 0.1 else None)
    assert bench.seen == []


@pytest.mark.parametrize(("failures", "opens"), [(10, True), (9, False)])
async def test_it_opens_at_its_ratio_and_not_below(*, failures: int, opens: bool) -> None:
    bench = Bench(failure_ratio=0.5, minimum_throughput=20)
    for number in range(20):
        await bench.call(Down() if number >= 20 - failures else None)
    assert (bench.state() is State.OPEN) is opens


@pytest.mark.parametrize(("calls", "opens"), [(20, True), (19, False)])
async def test_it_opens_at_its_minimum_throughput_and_not_below(*, calls: int, opens: bool) -> None:
    bench = Bench(minimum_throughput=20)
    for _ in range(calls):
        await bench.call(Down())
    assert (bench.state() is State.OPEN) is opens


@pytest.mark.parametrize(("slow", "opens"), [(8, True), (7, False)])
@pytest.mark.parametrize(("seconds", "counts"), [(2.0, True), (1.99, False)])
async def test_slow_calls_open_it_too(*, slow: int, opens: bool, seconds: float, counts: bool) -> None:
    bench = Bench(slow_ratio=0.8, slow_after=2.0, minimum_throughput=10, window=1000.0)
    for number in range(10):
        await bench.call(seconds=seconds if number >= 10 - slow else 0.0)
    assert (bench.state() is State.OPEN) is (opens and counts)


async def test_failures_are_forgotten_with_the_window() -> None:
    bench = Bench(window=30.0, buckets=10, minimum_throughput=20)
    for _ in range(19):
        await bench.call(Down())
    bench.clock.now += 30.0
    await bench.call(Down())
    assert bench.state() is State.CLOSED


async def test_failures_within_the_window_are_not_forgotten() -> None:
    bench = Bench(window=30.0, buckets=10, minimum_throughput=20)
    bench.clock.now = 999.0  # the beginning of a bucket
    for _ in range(19):
        await bench.call(Down())
    bench.clock.now += 29.9
    await bench.call(Down())
    assert bench.state() is State.OPEN


@pytest.mark.parametrize("error", [Ours(), asyncio.CancelledError()])
async def test_what_says_nothing_does_not_open_it(error: BaseException) -> None:
    bench = Bench()
    for _ in range(1000):
        await bench.call(error)
    for _ in range(19):
        await bench.call(Down())
    assert bench.state() is State.CLOSED
    await bench.call(Down())  # and the thousand are not in the count either
    assert bench.state() is State.OPEN


async def test_a_thousand_clients_who_leave_do_not_open_it() -> None:
    bench = Bench()
    for call in await begin(bench, 1000):
        await call.cancel()
    assert bench.seen == []


async def test_a_refusal_shows_that_the_service_works() -> None:
    bench = Bench()
    for _ in range(1000):
        await bench.call(Refused())
    assert bench.seen == []


async def test_a_process_that_ends_says_nothing() -> None:
    bench = Bench(minimum_throughput=1)
    with pytest.raises(KeyboardInterrupt):
        await bench.call(KeyboardInterrupt())
    assert bench.seen == []


# --- open -----------------------------------------------------------------------------------------------------------


async def test_an_open_circuit_calls_nothing_and_says_when_to_come_back() -> None:
    bench = Bench(break_base=5.0)
    await bench.trip()
    bench.clock.now += 3.0
    called: list[bool] = []

    async def note() -> None:
        called.append(True)

    with pytest.raises(CircuitOpen, match="circuit is open; try again in 2 s") as caught:
        await bench.circuit.call(note)
    assert (caught.value.state, caught.value.retry_after, called) == (State.OPEN, 2.0, [])


@pytest.mark.parametrize(("seconds", "passes"), [(4.99, False), (5.0, True)])
async def test_it_is_tried_again_after_its_break_and_not_before(*, seconds: float, passes: bool) -> None:
    bench = Bench(break_base=5.0)
    await bench.trip()
    bench.clock.now += seconds
    assert await bench.call() is passes


async def test_breaks_grow_up_to_a_bound_and_begin_anew_once_it_has_closed() -> None:
    bench = Bench(break_base=5.0, break_max=60.0, permits=1)
    breaks = []
    await bench.trip()
    for _ in range(6):
        with pytest.raises(CircuitOpen) as caught:
            await bench.circuit.call(asyncio.sleep, 0)
        breaks.append(caught.value.retry_after)
        bench.clock.now += breaks[-1]
        await bench.call(Down())
    assert breaks == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    bench.clock.now += 60.0
    await bench.call()
    assert bench.state() is State.CLOSED
    await bench.trip()
    with pytest.raises(CircuitOpen) as caught:
        await bench.circuit.call(asyncio.sleep, 0)
    assert caught.value.retry_after == 5.0


async def test_breaks_have_jitter() -> None:
    bounds = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 1.2 if low else 0.0

    bench = Bench(uniform=uniform, break_base=5.0, jitter=0.2)
    await bench.trip()
    with pytest.raises(CircuitOpen) as caught:
        await bench.circuit.call(asyncio.sleep, 0)
    assert (bounds, caught.value.retry_after) == ([(0.8, 1.2), (0, 6.0)], 6.0)


async def test_those_who_are_refused_are_not_told_the_same_moment() -> None:
    bench = Bench(uniform=lambda low, high: 1.0 if low else 0.75 * high, break_base=5.0, spread=1.0)
    await bench.trip()
    bench.clock.now += 2.0
    with pytest.raises(CircuitOpen) as caught:
        await bench.circuit.call(asyncio.sleep, 0)
    assert caught.value.retry_after == 3.0 + 3.75


# --- half-open ------------------------------------------------------------------------------------------------------


async def test_of_fifty_probes_exactly_the_permits_get_through() -> None:
    bench = Bench(permits=3)
    await bench.trip()
    bench.clock.now += 1000.0
    calls = await begin(bench, 50)
    assert [call.entered for call in calls] == [True] * 3 + [False] * 47
    for call in calls[3:]:
        with pytest.raises(CircuitOpen) as caught:
            await call.task
        assert caught.value.state is State.HALF_OPEN
        assert 0 < caught.value.retry_after <= 5.0 + 5.0
    for call in calls[:3]:
        await call.done()
    assert bench.state() is State.CLOSED


async def test_it_closes_once_all_permits_were_well_and_not_before() -> None:
    bench = Bench(permits=3)
    await bench.half_open()
    assert await bench.call()
    assert bench.state() is State.HALF_OPEN
    await bench.call()
    assert bench.state() is State.CLOSED
    assert bench.seen == [
        (State.CLOSED, State.OPEN), (State.OPEN, State.HALF_OPEN), (State.HALF_OPEN, State.CLOSED),
    ]  # fmt: skip


@pytest.mark.parametrize(("error", "seconds"), [(Down(), 0.0), (None, 60.0)])
async def test_one_probe_that_fails_or_is_slow_opens_it_again(error: Exception | None, seconds: float) -> None:
    bench = Bench(permits=3)
    await bench.half_open()
    await bench.call(error, seconds)
    assert bench.state() is State.OPEN


@pytest.mark.parametrize("error", [Ours(), asyncio.CancelledError()])
async def test_a_probe_that_says_nothing_gives_its_permit_back(error: BaseException) -> None:
    bench = Bench(permits=1)
    await bench.half_open(probe=error)
    assert bench.state() is State.HALF_OPEN
    assert await bench.call()
    assert bench.state() is State.CLOSED


async def test_probes_that_never_return_do_not_wedge_it() -> None:
    bench = Bench(permits=2, permit_timeout=30.0)
    await bench.trip()
    bench.clock.now += 1000.0
    lost = await begin(bench, 2)
    assert not await bench.call()
    bench.clock.now += 29.99
    assert not await bench.call()
    bench.clock.now += 0.01
    assert await bench.call()
    assert await bench.call()
    assert bench.state() is State.CLOSED
    for call in lost:
        await call.cancel()


async def test_what_a_lost_probe_reports_later_does_not_count() -> None:
    bench = Bench(permits=1, permit_timeout=30.0)
    await bench.trip()
    bench.clock.now += 1000.0
    (lost,) = await begin(bench)
    bench.clock.now += 30.0
    (second,) = await begin(bench)
    await lost.done(Down())
    assert bench.state() is State.HALF_OPEN
    assert not await bench.call()
    await second.done()
    assert bench.state() is State.CLOSED


async def test_what_began_before_it_opened_does_not_count_after() -> None:
    bench = Bench(permits=1)
    late = await begin(bench, 30)
    await bench.half_open(probe=Ours())
    for call in late[:15]:
        await call.done()
    assert bench.state() is State.HALF_OPEN
    await bench.call()
    for call in late[15:]:
        await call.done(Down())
    assert bench.state() is State.CLOSED


# --- by hand --------------------------------------------------------------------------------------------------------


async def test_an_isolated_circuit_stays_so_until_somebody_resets_it() -> None:
    bench = Bench(break_max=60.0)
    bench.circuit.isolate()
    bench.clock.now += 1e6
    with pytest.raises(CircuitOpen) as caught:
        await bench.circuit.call(asyncio.sleep, 0)
    assert (caught.value.state, caught.value.retry_after) == (State.ISOLATED, 60.0)
    bench.circuit.reset()
    assert await bench.call()
    assert bench.seen == [(State.CLOSED, State.ISOLATED), (State.ISOLATED, State.CLOSED)]


async def test_what_is_under_way_does_not_open_an_isolated_circuit() -> None:
    bench = Bench(minimum_throughput=1)
    (call,) = await begin(bench)
    bench.circuit.isolate()
    await call.done(Down())
    assert bench.state() is State.ISOLATED


async def test_a_reset_forgets_the_failures() -> None:
    bench = Bench(minimum_throughput=20)
    for _ in range(19):
        await bench.call(Down())
    bench.circuit.reset()
    await bench.call(Down())
    assert bench.state() is State.CLOSED


async def test_it_is_a_decorator() -> None:
    @CircuitBreaker().wrap
    async def double(value: int) -> int:
        return 2 * value

    assert await double(4) == 8


@pytest.mark.parametrize(
    "config",
    [
        {"failure_ratio": 0.0}, {"failure_ratio": 1.1}, {"slow_ratio": 0.0}, {"jitter": 1.0}, {"spread": -0.1},
        {"minimum_throughput": 0},
        {"buckets": 0}, {"permits": 0}, {"window": 0.0}, {"slow_after": 0.0}, {"permit_timeout": 0.0},
        {"break_base": 0.0}, {"break_max": 4.0},
    ],
)  # fmt: skip
def test_a_config_that_never_opens_or_never_closes_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"are|is"):
        CircuitBreakerConfig(**config)


# --- against a model ------------------------------------------------------------------------------------------------

CONFIG = CircuitBreakerConfig(
    failure_ratio=0.5, slow_ratio=0.75, slow_after=2.0, minimum_throughput=4, window=10.0, buckets=5, permits=2,
    permit_timeout=8.0, break_base=3.0, break_max=12.0, jitter=0.0,
)  # fmt: skip


@dataclass
class Model:
    """The circuit as its docstring has it, by a list of what happened: slow, and plain enough to be believed."""

    state: str = "closed"
    history: list[tuple[float, bool, bool]] = field(default_factory=list)
    until: float = 0.0
    breaks: int = 0
    holders: set[int] = field(default_factory=set)
    spent: int = 0
    well: int = 0
    belongs: dict[int, object] = field(default_factory=dict)
    period: object = field(default_factory=object)

    def turn(self, state: str) -> None:
        self.state, self.period, self.history = state, object(), []

    def probing(self, now: float) -> None:
        self.period, self.spent, self.well, self.until = object(), 0, 0, now + CONFIG.permit_timeout

    def begin(self, call: int, now: float) -> bool:
        if self.state == "isolated" or (self.state == "open" and now < self.until):
            return False
        if self.state == "open":
            self.turn("half_open")
            self.probing(now)
        elif self.state == "half_open" and now >= self.until:
            self.probing(now)
        if self.state == "half_open":
            if self.spent == CONFIG.permits:
                return False
            self.spent += 1
        self.belongs[call] = self.period
        return True

    def end(self, call: int, began: float, now: float, *, failed: bool | None) -> None:
        if self.belongs.pop(call) is not self.period:
            return
        if failed is None:
            if self.state == "half_open":
                self.spent -= 1
            return
        slow = now - began >= CONFIG.slow_after
        if self.state == "half_open":
            self.well += 1
            if failed or slow:
                self.open(now)
            elif self.well == CONFIG.permits:
                self.reset()
            return
        self.history.append((now, failed, slow))
        width = CONFIG.window / CONFIG.buckets
        recent = [each for each in self.history if math.floor(now / width) - math.floor(each[0] / width) < 5]
        bad, dragging = sum(each[1] for each in recent), sum(each[2] for each in recent)
        if len(recent) >= 4 and (bad / len(recent) >= 0.5 or dragging / len(recent) >= 0.75):
            self.open(now)

    def open(self, now: float) -> None:
        self.turn("open")
        self.until = now + min(3.0 * 2**self.breaks, 12.0)
        self.breaks += 1

    def reset(self) -> None:
        self.turn("closed")
        self.breaks = 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.none()),
        st.tuples(st.just("begin"), st.none()),
        st.tuples(st.just("end"), st.tuples(st.integers(0, 50), st.sampled_from([True, True, False, False, None]))),
        st.tuples(st.just("end"), st.tuples(st.integers(0, 50), st.sampled_from([True, True, False, False, None]))),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, 1.999, 2.0, 3.0, 6.0, 8.0, 12.0, 40.0])),
        st.sampled_from([("isolate", None), ("reset", None)]),
    ),
    max_size=80,
)


async def follow(steps: list[tuple[str, Any]]) -> None:
    bench, model, calls = Bench(), Model(), dict[int, tuple[Pending, float]]()
    bench.circuit = CircuitBreaker(CONFIG, is_failure=verdict, clock=bench.clock, uniform=lambda _low, _high: 1.0)
    for number, (step, argument) in enumerate(steps):
        now = bench.clock.now
        if step == "begin":
            (call,) = await begin(bench)
            assert call.entered is model.begin(number, now), (number, step, model)
            if call.entered:
                calls[number] = (call, now)
            else:
                await asyncio.gather(call.task, return_exceptions=True)
        elif step in {"end", "leave"} and calls:
            chosen = sorted(calls)[(argument if step == "leave" else argument[0]) % len(calls)]
            call, began = calls.pop(chosen)
            if step == "leave":
                await call.cancel()
                model.end(chosen, began, now, failed=None)
            else:
                failed = argument[1]
                await call.done(Down() if failed else Ours() if failed is None else None)
                model.end(chosen, began, now, failed=failed)
        elif step == "pass":
            bench.clock.now += argument
        elif step == "isolate":
            bench.circuit.isolate()
            model.turn("isolated")
        elif step == "reset":
            bench.circuit.reset()
            model.reset()
        assert bench.circuit.state == model.state, (number, step, argument, model)
    for call, _ in calls.values():
        await call.cancel()


@settings(max_examples=examples(500), deadline=None)
@given(STEPS)
def test_it_does_what_the_model_does(steps: list[tuple[str, Any]]) -> None:
    asyncio.run(follow(steps))

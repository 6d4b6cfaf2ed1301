"""What failed is tried again: where it is safe, where it may help, in time, and as often as the service can bear."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from app.patterns.retry import BUDGET_MAX, BUDGET_START, MARGIN, Retry, RetryBudget, RetryConfig


class Failed(Exception):
    def __init__(self, *, retry_after: object = None) -> None:
        super().__init__("failed")
        self.retry_after = retry_after


class NotSent(Failed):
    """Nothing has arrived."""


class Hopeless(Failed):
    """It will fail again."""


class Brake(NotSent):
    """The caller's own."""


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Service:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self, value: str = "well") -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return value


class Bench:
    def __init__(self, *, budget: RetryBudget | None = None, **config: Any) -> None:
        self.clock = Clock()
        self.seen: list[tuple[object, ...]] = []
        self.retry = Retry(
            RetryConfig(**config),
            budget=budget or RetryBudget(clock=self.clock),
            retryable=lambda error: not isinstance(error, Hopeless),
            not_sent=lambda error: isinstance(error, NotSent),
            never=lambda error: isinstance(error, Brake),
            sleep=self.clock.sleep,
            uniform=lambda _low, high: high,
            observe=lambda event, **values: self.seen.append((event, *values.values())),
        )

    async def fails(self, service: Service, *, safe: bool = True, **arguments: Any) -> BaseException:
        with pytest.raises((Failed, RuntimeError)) as caught:
            await self.retry.call(service, safe=safe, **arguments)
        return caught.value


async def test_what_goes_well_is_returned_and_seen_by_nobody() -> None:
    bench, service = Bench(), Service()
    assert await bench.retry.call(service, "a", safe=True) == "a"
    assert (service.calls, bench.clock.waits, bench.seen) == (1, [], [])


async def test_a_failure_that_passes_is_not_seen_by_the_caller() -> None:
    bench, service = Bench(), Service(Failed(), Failed())
    assert await bench.retry.call(service, "a", safe=True) == "a"
    assert service.calls == 3
    assert [(event, attempt) for event, attempt, *_ in bench.seen] == [("retry", 1), ("retry", 2)]


async def test_after_the_last_attempt_its_error_is_raised_itself() -> None:
    errors = [Failed(), Failed(), Failed(), Failed()]
    bench, service = Bench(), Service(*errors)
    assert await bench.fails(service) is errors[2]
    assert service.calls == 3
    assert bench.seen[-1] == ("gave_up", 3, 0.0, "attempts")


async def test_one_attempt_is_no_retry() -> None:
    bench, service = Bench(attempts=1), Service(Failed())
    await bench.fails(service)
    assert (service.calls, bench.clock.waits) == (1, [])


async def test_what_is_not_safe_is_not_repeated() -> None:
    bench, service = Bench(), Service(Failed())
    await bench.fails(service, safe=False)
    assert service.calls == 1


async def test_what_was_not_sent_is_sent_again_although_it_is_not_safe() -> None:
    bench, service = Bench(), Service(NotSent(), NotSent())
    assert await bench.retry.call(service, safe=False) == "well"


async def test_what_was_not_sent_first_and_then_perhaps_is_not_repeated() -> None:
    bench, service = Bench(), Service(NotSent(), Failed(), Failed())
    await bench.fails(service, safe=False)
    assert service.calls == 2


@pytest.mark.parametrize("error", [Hopeless(), Brake(), RuntimeError()])
async def test_what_will_fail_again_and_the_callers_own_brakes_are_raised_at_once(error: Exception) -> None:
    bench, service = Bench(), Service(error)
    if isinstance(error, RuntimeError):
        bench.retry._retryable = lambda error: isinstance(error, Failed)
    assert await bench.fails(service) is error
    assert (service.calls, bench.clock.waits) == (1, [])


async def test_a_brake_in_a_later_attempt_ends_the_retries() -> None:
    brake = Brake()
    bench, service = Bench(), Service(Failed(), brake)
    assert await bench.fails(service) is brake
    assert service.calls == 2


async def test_a_cancellation_is_none_of_its_business() -> None:
    bench, service = Bench(), Service(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await bench.retry.call(service, safe=True)
    assert service.calls == 1


async def test_a_cancellation_in_a_later_attempt_ends_the_retries() -> None:
    bench, service = Bench(), Service(Failed(), asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await bench.retry.call(service, safe=True)
    assert service.calls == 2


async def test_who_leaves_while_it_waits_ends_it() -> None:
    service = Service(Failed())
    retry = Retry(RetryConfig(base=60.0, cap=60.0), uniform=lambda _low, high: high)
    task = asyncio.create_task(retry.call(service, safe=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert service.calls == 1


async def test_waits_are_random_up_to_a_bound_that_doubles_and_is_capped() -> None:
    waits: list[list[float]] = [[] for _ in range(7)]
    for _ in range(400):
        bench = Bench(attempts=8, budget=Unlimited())
        await bench.retry.call(Service(*[Failed()] * 7), safe=True)
        for step, wait in zip(waits, bench.clock.waits, strict=True):
            step.append(wait)
    for step, bound in zip(waits, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0], strict=True):
        assert 0.9 * bound < max(step) <= bound
        assert 0 <= min(step) < 0.1 * bound
        assert 0.4 * bound < sum(step) / len(step) < 0.6 * bound


@pytest.mark.parametrize(("told", "waited"), [(1.5, 1.55), (0, 0.05), (30.0, 30.05)])
async def test_who_is_told_when_to_come_back_does_and_not_all_at_once(told: float, waited: float) -> None:
    bench = Bench()
    await bench.retry.call(Service(Failed(retry_after=told)), safe=True)
    assert bench.clock.waits == [pytest.approx(waited)]


@pytest.mark.parametrize("told", [-1.0, "soon", None, float("nan")])
async def test_nonsense_about_when_to_come_back_is_not_believed(told: object) -> None:
    bench = Bench()
    await bench.retry.call(Service(Failed(retry_after=told)), safe=True)
    assert 0 <= bench.clock.waits[0] <= 0.05


async def test_who_is_told_to_come_back_much_later_does_not_wait() -> None:
    bench, service = Bench(), Service(Failed(retry_after=30.1))
    await bench.fails(service)
    assert (bench.clock.waits, bench.seen) == ([], [("gave_up", 1, 0.0, "retry_after")])


async def test_no_wait_ends_after_the_deadline() -> None:
    bench = Bench()
    left = 2.0 + 0.05 + MARGIN
    await bench.fails(Service(Failed(retry_after=2.0)), remaining=lambda: left)
    assert bench.seen == [("gave_up", 1, 0.0, "deadline")]
    assert await bench.retry.call(Service(Failed(retry_after=2.0)), safe=True, remaining=lambda: left + 0.001) == "well"


async def test_what_is_left_is_asked_each_time() -> None:
    bench, service = Bench(attempts=10, budget=Unlimited()), Service(*[Failed(retry_after=1.0)] * 10)
    await bench.fails(service, remaining=lambda: 103.5 - bench.clock.now)
    assert service.calls == 4


async def test_concurrent_calls_do_not_mix() -> None:
    rng = random.Random(3)
    retry = Retry(RetryConfig(attempts=4, base=0.001, cap=0.001), budget=Unlimited())

    async def one(number: int) -> None:
        failures = rng.randint(0, 5)
        service = Service(*[Failed(retry_after=0) for _ in range(failures)])

        async def slowly() -> str:
            await asyncio.sleep(0)
            return await service(str(number))

        if failures < 4:
            assert await retry.call(slowly, safe=True) == str(number)
        else:
            with pytest.raises(Failed):
                await retry.call(slowly, safe=True)
        assert service.calls == min(failures + 1, 4)

    await asyncio.gather(*(one(number) for number in range(300)))


# --- the budget -----------------------------------------------------------------------------------------------------


class Unlimited(RetryBudget):
    def withdraw(self) -> bool:
        return True


async def dead(calls: int, rate: float, budget: RetryBudget | None = None) -> int:
    """Call a dead service so many times, so many a second, and return how many attempts it got."""
    bench, service = Bench(), Service(*[Failed()] * (calls * 3))
    clock = Clock()
    bench.retry.budget = budget or RetryBudget(clock=clock)
    for _ in range(calls):
        clock.now += 1 / rate
        await bench.fails(service)
    return service.calls


@pytest.mark.parametrize("rate", [5.0, 10.0, 50.0, 1000.0])
async def test_a_dead_service_gets_a_fifth_more_and_not_three_times_as_much(rate: float) -> None:
    assert 1200 <= await dead(1000, rate) <= 1250


async def test_without_the_budget_it_would_get_three_times_as_much() -> None:
    assert await dead(1000, 50.0, Unlimited()) == 3000


async def test_a_service_that_is_hardly_called_may_be_tried_again_once_a_second() -> None:
    assert await dead(100, 1.0) == 200 + int(BUDGET_START)


async def test_retries_that_were_not_needed_are_saved_up_to_a_bound() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    for _ in range(10_000):
        budget.deposit()
    assert budget.tokens == BUDGET_MAX
    clock.now += 1e9
    budget.deposit()
    assert budget.tokens == BUDGET_MAX
    assert [budget.withdraw() for _ in range(41)].count(True) == 40


async def test_who_gives_up_for_want_of_budget_says_so() -> None:
    bench = Bench()
    bench.retry.budget.tokens = 0.5
    await bench.fails(Service(Failed()))
    assert bench.seen == [("gave_up", 1, 0.0, "budget")]


async def test_what_is_not_retried_pays_nothing() -> None:
    bench = Bench()
    await bench.fails(Service(Hopeless()))
    await bench.fails(Service(Failed()), safe=False)
    await bench.fails(Service(Failed(retry_after=100)))
    assert bench.retry.budget.tokens == pytest.approx(BUDGET_START + 3 * 0.2)


async def test_it_is_a_decorator() -> None:
    service = Service(Failed())

    @Retry(RetryConfig(base=0.001)).wrap(safe=True)
    async def call(value: str) -> str:
        return await service(value)

    assert await call("a") == "a"


@pytest.mark.parametrize(
    "config", [{"attempts": 0}, {"base": 0.0}, {"base": 3.0}, {"cap": 0.01}, {"max_retry_after": -1.0}]
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="attempts is at least 1"):
        RetryConfig(**config)

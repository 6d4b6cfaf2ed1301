"""When a call fails, the last good answer or a default stands in, and says so."""

from __future__ import annotations

import asyncio

import pytest

from app.patterns.fallback import Fallback, FallbackConfig, Result


class Away(Exception):
    """What counts."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Service:
    """Returns what it is asked for, or fails as it is told."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.calls = 0

    async def rate(self, currency: str) -> str:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return f"{currency}@{self.calls}"


def fallback(clock: Clock | None = None, **config: float) -> Fallback:
    return Fallback(
        "rates",
        FallbackConfig(**config),  # type: ignore[arg-type]  # one of its numbers is an integer
        counts=lambda error: isinstance(error, Away),
        clock=clock or Clock(),
    )


async def test_a_value_that_is_live_is_passed_on_and_says_nothing() -> None:
    result = await fallback().call("EUR", Service().rate, "EUR")
    assert result == Result("EUR@1", "live", 0.0, "rates")
    assert result.cache_status is None


async def test_each_call_is_made() -> None:
    service, rates = Service(), fallback()
    assert [(await rates.call("EUR", service.rate, "EUR")).value for _ in range(3)] == ["EUR@1", "EUR@2", "EUR@3"]


async def test_the_last_good_value_stands_in_and_says_how_old_it_is() -> None:
    service, clock = Service(), Clock()
    rates = fallback(clock)
    for _ in range(2):
        await rates.call("EUR", service.rate, "EUR")
    service.failure, clock.now = Away(), 130.5
    result = await rates.call_or("default", "EUR", service.rate, "EUR")
    assert result == Result("EUR@2", "stale", 30.5, "rates")
    assert result.cache_status == "rates; hit; ttl=-30; detail=stale-if-error"


async def test_a_value_is_used_until_its_age_and_not_after() -> None:
    service, clock = Service(), Clock()
    rates = fallback(clock, max_age=300.0)
    await rates.call("EUR", service.rate, "EUR")
    service.failure, clock.now = Away(), 400.0
    assert (await rates.call("EUR", service.rate, "EUR")).age == 300.0
    clock.now = 400.1
    with pytest.raises(Away):
        await rates.call("EUR", service.rate, "EUR")


async def test_a_default_stands_in_where_there_is_no_value_and_says_so() -> None:
    service = Service()
    service.failure = Away()
    result = await fallback().call_or("none", "EUR", service.rate, "EUR")
    assert result == Result("none", "default", 0.0, "rates")
    assert result.cache_status == "rates; fwd=miss; detail=default"


async def test_none_is_a_value_and_a_default_like_any_other() -> None:
    rates, failing = fallback(), False

    async def nothing() -> str | None:
        if failing:
            raise Away
        return None

    await rates.call("kept", nothing)
    failing = True
    assert (await rates.call("kept", nothing)).source == "stale"
    assert (await rates.call_or(None, "other", nothing)).source == "default"


async def test_without_either_the_error_is_the_answer() -> None:
    service = Service()
    service.failure = Away()
    with pytest.raises(Away):
        await fallback().call("EUR", service.rate, "EUR")


@pytest.mark.parametrize("failure", [KeyError("a bug"), asyncio.CancelledError()])
async def test_an_error_that_does_not_count_is_passed_on_whatever_is_kept(failure: BaseException) -> None:
    service, rates = Service(), fallback()
    await rates.call("EUR", service.rate, "EUR")
    service.failure = failure
    with pytest.raises(type(failure)):
        await rates.call_or("none", "EUR", service.rate, "EUR")


async def test_a_value_of_another_key_is_not_used() -> None:
    service, rates = Service(), fallback()
    await rates.call(("alice", "EUR"), service.rate, "EUR")
    service.failure = Away()
    with pytest.raises(Away):
        await rates.call(("bob", "EUR"), service.rate, "EUR")


async def test_as_many_values_are_kept_as_may_be_and_the_oldest_goes() -> None:
    service, rates = Service(), fallback(max_entries=3)
    for number in range(4):
        await rates.call(number, service.rate, str(number))
    service.failure = Away()
    sources = [(await rates.call_or("", number, service.rate, "")).source for number in range(4)]
    assert sources == ["default", "stale", "stale", "stale"]


async def test_what_was_not_live_is_observed() -> None:
    seen: list[tuple[str, float]] = []
    clock, service = Clock(), Service()
    rates = Fallback(
        "rates", counts=lambda _: True, clock=clock, observe=lambda source, age: seen.append((source, age))
    )
    await rates.call("EUR", service.rate, "EUR")
    service.failure, clock.now = Away(), 101.0
    await rates.call("EUR", service.rate, "EUR")
    await rates.call_or("", "USD", service.rate, "USD")
    assert seen == [("stale", 1.0), ("default", 0.0)]


@pytest.mark.parametrize("name", ["", "a b", "1", "x; hit", "é", "-"])
def test_a_name_that_would_break_a_header_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Fallback(name, counts=lambda _: True)


@pytest.mark.parametrize("config", [FallbackConfig(max_entries=0), FallbackConfig(max_age=0)])
def test_a_bound_that_keeps_nothing_is_refused(config: FallbackConfig) -> None:
    with pytest.raises(ValueError, match="positive"):
        Fallback("rates", config, counts=lambda _: True)

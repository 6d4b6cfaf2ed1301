"""A call ends in time; its own limit, somebody's cancellation and the function's own TimeoutError are told apart."""

from __future__ import annotations

import asyncio

import pytest

from app.patterns.time_limit import TimeLimit, TimeLimitExceeded


async def hang() -> None:
    await asyncio.Event().wait()


async def answer(value: int, *, plus: int = 0) -> int:
    return value + plus


async def test_what_is_done_in_time_is_returned() -> None:
    assert await TimeLimit(1.0).call(answer, 1, plus=2) == 3


async def test_what_hangs_is_ended_and_the_error_says_what_it_was_given() -> None:
    with pytest.raises(TimeLimitExceeded, match=r"not done within 0\.01 s") as caught:
        await TimeLimit(0.01).call(hang)
    assert caught.value.seconds == 0.01


async def test_what_is_ended_is_told_so() -> None:
    ended = []

    async def tidy() -> None:
        try:
            await hang()
        finally:
            ended.append(True)

    with pytest.raises(TimeLimitExceeded):
        await TimeLimit(0.01).call(tidy)
    assert ended == [True]


@pytest.mark.parametrize(("left", "seconds"), [(0.01, 0.01), (None, 0.02), (5.0, 0.02)])
async def test_what_is_left_shortens_the_limit_and_never_lengthens_it(left: float | None, seconds: float) -> None:
    with pytest.raises(TimeLimitExceeded) as caught:
        await TimeLimit(0.02).call(hang, remaining=lambda: left)
    assert caught.value.seconds == seconds


@pytest.mark.parametrize("left", [0.0, -1.0])
async def test_without_time_nothing_is_called(left: float) -> None:
    called = []

    async def note() -> None:
        called.append(True)

    with pytest.raises(TimeLimitExceeded) as caught:
        await TimeLimit(1.0).call(note, remaining=lambda: left)
    assert (caught.value.seconds, called) == (0.0, [])


async def test_a_timeout_of_the_functions_own_stays_one() -> None:
    async def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await TimeLimit(1.0).call(fails)


async def test_a_timeout_of_the_functions_own_stays_one_although_the_limit_has_passed_too() -> None:
    async def fails() -> None:
        try:
            await hang()
        finally:
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await TimeLimit(0.01).call(fails)


async def test_an_error_of_the_functions_own_is_passed_on() -> None:
    async def fails() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await TimeLimit(1.0).call(fails)


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.create_task(TimeLimit(60.0).call(hang))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_outer_of_two_limits_ends_both_and_is_the_one_that_is_told() -> None:
    with pytest.raises(TimeLimitExceeded) as caught:
        await TimeLimit(0.01).call(TimeLimit(60.0).call, hang)
    assert caught.value.seconds == 0.01


async def test_it_is_a_decorator() -> None:
    @TimeLimit(1.0).wrap
    async def double(value: int) -> int:
        """Double it."""
        return 2 * value

    assert (await double(4), double.__doc__) == (8, "Double it.")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        TimeLimit(seconds)

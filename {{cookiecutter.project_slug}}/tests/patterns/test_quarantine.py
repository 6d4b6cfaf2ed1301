"""A route that burns its budget is out of service, comes back on trial, and a person's word goes before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.patterns.quarantine import Budget, Quarantine, QuarantineConfig, Quarantined, State
from tests.support.live import serve

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def is_in(self, state: State) -> bool:
        return self.budget.state is state

    def __init__(self, **config: Any) -> None:
        self.clock = Clock()
        self.changes: list[tuple[str, str]] = []
        self.budget = Budget(
            QuarantineConfig(**config),
            clock=self.clock,
            on_change=lambda state, reason: self.changes.append((str(state), reason)),
        )

    def run(self, *outcomes: bool | None, seconds: float = 0.01) -> None:
        for failed in outcomes:
            self.budget.ended(self.budget.admit(), failed=failed, seconds=seconds)

    def refusal(self) -> Quarantined:
        with pytest.raises(Quarantined) as caught:
            self.budget.admit()
        return caught.value


def test_a_ratio_of_a_minimum_takes_a_route_out() -> None:
    bench = Bench(minimum=20, failure_ratio=0.5)
    bench.run(*[False] * 10, *[True] * 9)
    assert bench.is_in(State.SERVING)
    bench.run(True)
    assert bench.changes == [("quarantined", "failures")]
    assert (bench.refusal().reason, bench.refusal().retry_after) == ("failures", 30)


def test_less_than_the_ratio_does_not() -> None:
    bench = Bench(minimum=20, failure_ratio=0.5)
    bench.run(*[False] * 101, *[True] * 100)
    assert bench.is_in(State.SERVING)


def test_what_says_nothing_does_not_count() -> None:
    bench = Bench(minimum=20)
    bench.run(*[None] * 1000, *[True] * 19)
    assert bench.is_in(State.SERVING)


def test_slow_requests_take_a_route_out() -> None:
    bench = Bench(minimum=10, slow_ratio=0.8, slow_after=1.0)
    bench.run(*[False] * 10, seconds=1.0)
    assert bench.is_in(State.SERVING)
    bench.run(*[False] * 40, seconds=1.01)
    assert bench.changes == [("quarantined", "slow")]


def test_strikes_take_a_route_out() -> None:
    bench = Bench(strikes=3)
    bench.budget.strike()
    bench.budget.strike()
    assert bench.is_in(State.SERVING)
    bench.budget.strike()
    assert bench.refusal().reason == "strikes"


def test_what_is_older_than_the_window_is_forgotten() -> None:
    bench = Bench(minimum=20, strikes=2, window=60, buckets=6)
    bench.run(*[True] * 19)
    bench.budget.strike()
    bench.clock.now += 60
    bench.run(*[True] * 19)
    bench.budget.strike()
    assert bench.is_in(State.SERVING)
    bench.clock.now += 49
    bench.run(True)
    assert bench.is_in(State.QUARANTINED)


def test_it_comes_back_by_permits_and_serves_when_all_are_well() -> None:
    bench = Bench(strikes=1, base=30, permits=3)
    bench.budget.strike()
    bench.clock.now += 29.9
    assert bench.refusal().retry_after == pytest.approx(0.1)
    bench.clock.now += 0.1
    tries = [bench.budget.admit() for _ in range(3)]
    assert bench.is_in(State.TRYING)
    assert bench.refusal().retry_after == 1
    for generation in tries:
        bench.budget.ended(generation, failed=False, seconds=0)
    assert bench.is_in(State.SERVING)
    assert [state for state, _ in bench.changes] == ["quarantined", "trying", "serving"]


@pytest.mark.parametrize("how", ["fails", "is slow", "strikes"])
def test_one_try_that_is_not_well_doubles_the_time(how: str) -> None:
    bench = Bench(strikes=1, base=30, longest=100, slow_after=1)
    bench.budget.strike()
    for out in (60, 100, 100):
        bench.clock.now += 100
        generation = bench.budget.admit()
        if how == "strikes":
            bench.budget.strike()
        bench.budget.ended(generation, failed=how == "fails", seconds=2 if how == "is slow" else 0)
        assert bench.refusal().retry_after == out


def test_who_has_served_well_for_long_begins_anew() -> None:
    bench = Bench(strikes=1, base=30, forgive=600, permits=1)
    for wait, out in ((0, 30), (599, 60), (600, 30)):
        bench.clock.now += wait
        bench.budget.strike()
        assert bench.refusal().retry_after == out
        bench.clock.now += out
        bench.run(False)
        assert bench.is_in(State.SERVING)


def test_a_permit_that_never_ends_is_given_out_again() -> None:
    bench = Bench(strikes=1, permits=1, permit_timeout=30)
    bench.budget.strike()
    bench.clock.now += 30
    bench.budget.admit()
    bench.clock.now += 29.9
    bench.refusal()
    bench.clock.now += 0.1
    bench.run(False)
    assert bench.is_in(State.SERVING)


def test_a_try_that_says_nothing_gives_its_permit_back() -> None:
    bench = Bench(strikes=1, permits=1)
    bench.budget.strike()
    bench.clock.now += 30
    bench.run(*[None] * 10)
    assert bench.is_in(State.TRYING)
    bench.run(False)
    assert bench.is_in(State.SERVING)


def test_what_began_before_says_nothing_about_now() -> None:
    bench = Bench(minimum=1, strikes=1, permits=1)
    before = bench.budget.admit()
    bench.budget.strike()
    bench.clock.now += 30
    trial = bench.budget.admit()
    bench.budget.ended(before, failed=True, seconds=0)
    assert bench.is_in(State.TRYING)
    bench.budget.ended(trial, failed=False, seconds=0)
    assert bench.is_in(State.SERVING)


def test_a_persons_word_goes_before() -> None:
    bench = Bench(strikes=1)
    bench.budget.hold()
    bench.budget.hold()
    bench.clock.now += 10**6
    assert bench.refusal().reason == "held"
    bench.budget.strike()
    assert bench.is_in(State.HELD)
    bench.budget.release()
    bench.run(False)
    bench.budget.strike()
    assert bench.refusal().retry_after == 30
    bench.budget.release()
    bench.budget.release()
    assert bench.changes == [
        ("held", "held"), ("serving", ""), ("quarantined", "strikes"), ("serving", ""),
    ]  # fmt: skip
    bench.budget.strike()
    assert bench.refusal().retry_after == 30  # who was released is not a repeater


@pytest.mark.parametrize("name", ["buckets", "minimum", "strikes", "permits"])
def test_bounds_without_a_meaning_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Budget(QuarantineConfig(**{name: 0}))


@given(st.lists(st.sampled_from(["ok", "fail", "none", "strike", "wait", "hold", "release"]), max_size=200))
def test_whatever_happens_it_is_never_stuck(steps: list[str]) -> None:
    """Not held, it serves again after the longest time and as many requests as it has permits."""
    bench = Bench(minimum=3, strikes=2, longest=100, permits=2)
    for step in steps:
        if step == "strike":
            bench.budget.strike()
        elif step == "wait":
            bench.clock.now += 45
        elif step in {"hold", "release"}:
            getattr(bench.budget, step)()
        else:
            try:
                bench.run({"ok": False, "fail": True, "none": None}[step])
            except Quarantined as error:
                assert error.retry_after > 0  # noqa: PT017 - whether it is raised is not what is asked
    if bench.is_in(State.HELD):
        return
    bench.clock.now += 100
    bench.run(False, False)
    assert bench.is_in(State.SERVING)


def answering(status: int) -> Any:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def test_over_a_socket_the_route_is_refused_and_others_are_not() -> None:
    seen: list[int] = []
    bad = Quarantine(answering(500), Budget(QuarantineConfig(minimum=3)), observe=lambda status, _: seen.append(status))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (bad if scope["path"] == "/bad" else answering(204))(scope, receive, send)

    with serve(app, lifespan="off") as url:
        statuses = [httpx2.get(f"{url}/bad").status_code for _ in range(5)]
        assert statuses == [500, 500, 500, 503, 503]
        answer = httpx2.get(f"{url}/bad")
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("route_quarantined", "30")
        assert httpx2.get(f"{url}/good").status_code == 204
    assert seen == [500] * 3


@pytest.mark.parametrize(("waited", "state"), [(0.0, State.QUARANTINED), (4.5, State.SERVING)])
def test_over_a_socket_the_time_of_a_client_that_sends_slowly_is_not_the_routes(waited: float, state: State) -> None:
    clock = Clock()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clock.now += 5.0
        await answering(204)(scope, receive, send)

    budget = Budget(QuarantineConfig(minimum=1, slow_after=1.0), clock=clock)
    with serve(Quarantine(app, budget, waited=lambda _scope: waited, clock=clock), lifespan="off") as url:
        assert httpx2.get(url).status_code == 204
    assert budget.state is state


async def test_so_many_run_at_a_time_and_the_next_is_told() -> None:
    go, sent = asyncio.Event(), []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await go.wait()

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Quarantine(app, Budget(), concurrency=lambda: 2)
    running = [asyncio.create_task(guard({"type": "http"}, None, send)) for _ in range(2)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await guard({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert b"route_busy" in sent[1]["body"]
    go.set()
    await asyncio.gather(*running)
    assert guard.budget.in_flight == 0


@pytest.mark.parametrize(("error", "counted"), [(RuntimeError, 1), (asyncio.CancelledError, 0)])
async def test_an_exception_is_a_failure_and_a_client_that_left_is_none(
    error: type[BaseException], counted: int
) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    guard = Quarantine(app, Budget(QuarantineConfig(minimum=1)))
    with pytest.raises(error):
        await guard({"type": "http"}, None, None)  # type: ignore[arg-type]
    assert (guard.budget.state is State.QUARANTINED) == counted
    assert guard.budget.in_flight == 0

"""The limit falls when everything is slow and rises when it is not; who finds no place is told so in time."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import random
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest

from app.patterns.load_shedding import (
    MAX_ROUTES,
    TURN,
    Gradient,
    LoadShedding,
    LoadSheddingConfig,
    LoopLag,
    Overloaded,
    Turns,
)
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fill(gradient: Gradient, clock: Clock, latency: Callable[[], float], *, windows: int, route: str = "r") -> None:
    """End requests, with the limit always reached, for so many windows."""
    for _ in range(windows):
        for _ in range(10):
            gradient.ended(route, latency(), int(gradient.limit))
        clock.now += 0.11
        gradient.ended(route, latency(), int(gradient.limit))


def test_the_limit_grows_while_latencies_are_as_usual() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10, most=300), clock)
    fill(gradient, clock, lambda: 0.05, windows=200)
    assert gradient.limit == 300


def test_the_limit_falls_to_the_least_while_everything_is_slow() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=200, least=10), clock)
    fill(gradient, clock, lambda: 0.05, windows=100)
    fill(gradient, clock, lambda: 2.0, windows=40)
    assert gradient.limit < 60


def test_the_limit_finds_the_capacity_of_a_server_that_queues() -> None:
    """A server that does 20 at a time in 50 ms each, and makes the rest wait: twice 20 is left as a queue at most."""
    clock, chance = Clock(), random.Random(1)
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    fill(gradient, clock, lambda: 0.05 * chance.uniform(0.9, 1.1), windows=5)

    def latency() -> float:
        return 0.05 * max(1.0, gradient.limit / 20) * chance.uniform(0.9, 1.1)

    limits = []
    for _ in range(300):
        fill(gradient, clock, latency, windows=1)
        limits.append(gradient.limit)
    assert 20 <= sum(limits[100:]) / len(limits[100:]) <= 60


def test_one_slow_route_among_quick_ones_is_no_overload() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    fill(gradient, clock, lambda: 0.05, windows=10, route="GET /slow")
    before = gradient.limit
    for _ in range(50):
        for _ in range(6):
            gradient.ended("GET /slow", 5.0, int(gradient.limit))
        for _ in range(5):
            gradient.ended("GET /quick", 0.002, int(gradient.limit))
        clock.now += 0.11
    assert gradient.limit > before


def test_a_dear_route_is_not_slow_because_a_cheap_one_is_quick() -> None:
    clock, turn = Clock(), iter(range(10**6))
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    for _ in range(100):
        for _ in range(11):
            dear = next(turn) % 2
            gradient.ended("dear" if dear else "cheap", 1.0 if dear else 0.03, int(gradient.limit))
        clock.now += 0.11
    assert gradient.limit > 100


def test_a_minute_under_load_does_not_make_the_load_usual() -> None:
    """A minute of windows, each at twice the latency of an idle server: the limit stays where it limits."""
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    for _ in range(20):
        for _ in range(11):
            gradient.ended("r", 0.05, 1)
        clock.now += 0.11

    def latency() -> float:
        return 0.05 * max(1.0, gradient.limit / 20)

    fill(gradient, clock, latency, windows=600)
    assert gradient.limit < 80


def test_what_has_become_slower_for_good_is_learnt() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=100), clock)
    fill(gradient, clock, lambda: 0.05, windows=20)
    fill(gradient, clock, lambda: 0.5, windows=20_000)
    assert gradient.limit > 100


def test_a_limit_that_limits_nothing_is_left_alone() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    for seconds in (0.05, 5.0):
        for _ in range(100):
            gradient.ended("r", seconds, 9)
            clock.now += 0.11
    assert gradient.limit == 20


def test_a_slack_is_forgiven_and_what_is_over_it_is_not() -> None:
    for seconds, grows in ((0.0214, True), (0.05, False)):
        clock = Clock()
        gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
        fill(gradient, clock, lambda: 0.001, windows=2)
        before = gradient.limit
        fill(gradient, clock, lambda seconds=seconds: seconds, windows=5)  # type: ignore[misc]
        assert (gradient.limit > before) is grows


def test_so_many_routes_are_remembered() -> None:
    clock = Clock()
    gradient = Gradient(LoadSheddingConfig(initial=20, least=10), clock)
    for number in range(MAX_ROUTES + 5):
        gradient.ended(f"r{number}", 0.1, 1)
        clock.now += 0.11
    gradient.ended("last", 0.1, 1)
    assert len(gradient._usual) == MAX_ROUTES


@pytest.mark.parametrize(
    "config", [{"least": 0}, {"initial": 5}, {"most": 49}, {"tolerance": 0.5}, {"smoothing": 0}, {"samples": 0}]
)
def test_bounds_that_contradict_each_other_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must hold|at least"):
        Gradient(LoadSheddingConfig(**config))


# Who gets in. The application ends a request when it is let go.


class Door:
    """A shedding application whose requests end when they are told to."""

    def __init__(self, **config: Any) -> None:
        self.running: list[asyncio.Event] = []
        settings = {"least": 1, "initial": 2, "unknown_share": 1.0, "max_wait": 5.0} | config
        self.shedding = LoadShedding(
            self._app,
            config=LoadSheddingConfig(**settings),
            exempt=frozenset({"/livez"}),
            is_known=lambda scope: scope["known"],
            remaining=lambda scope: scope["remaining"],
            refuse=self._refused,
        )
        self.refused: list[str] = []

    async def _app(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        done = asyncio.Event()
        self.running.append(done)
        await done.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _refused(self, scope: Scope, _receive: Receive, _send: Send, error: Overloaded) -> None:
        self.refused.append(f"{scope['name']}: {error.reason}")

    def knock(
        self, name: str, *, known: bool = False, remaining: float | None = None, path: str = "/"
    ) -> asyncio.Task[None]:
        async def send(_message: Any) -> None:
            pass

        scope = {"type": "http", "method": "GET", "path": path, "name": name, "known": known, "remaining": remaining}
        return asyncio.create_task(self.shedding(scope, None, send))  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_run_so_many_wait_and_the_next_is_told() -> None:
    door = Door(queue=1)
    tasks = [door.knock(name) for name in "abcd"]
    await settle()
    assert (door.shedding.in_flight, door.shedding.queued, door.refused) == (2, 1, ["d: queue_full"])
    door.running[0].set()
    await settle()
    assert (door.shedding.in_flight, door.shedding.queued, len(door.running)) == (2, 0, 3)
    for event in door.running:
        event.set()
    await asyncio.gather(*tasks)
    assert door.shedding.in_flight == 0


async def test_a_probe_is_always_let_in_and_not_counted() -> None:
    door = Door(queue=0)
    tasks = [door.knock("a"), door.knock("b"), door.knock("probe", path="/livez")]
    await settle()
    assert (len(door.running), door.shedding.in_flight) == (3, 2)
    for event in door.running:
        event.set()
    await asyncio.gather(*tasks)


async def test_known_callers_have_places_that_others_do_not() -> None:
    door = Door(initial=10, least=1, unknown_share=0.8, queue=0)
    tasks = [door.knock(f"u{number}") for number in range(9)]
    await settle()
    assert (door.shedding.in_flight, door.refused) == (8, ["u8: queue_full"])
    tasks += [door.knock(f"k{number}", known=True) for number in range(3)]
    await settle()
    assert (door.shedding.in_flight, door.refused) == (10, ["u8: queue_full", "k2: queue_full"])
    for event in door.running:
        event.set()
    await asyncio.gather(*tasks)


async def test_known_callers_go_first_and_push_the_youngest_other_out() -> None:
    door = Door(initial=1, queue=2)
    tasks = [door.knock("a"), door.knock("u1"), door.knock("u2")]
    await settle()
    tasks.append(door.knock("k", known=True))
    await settle()
    assert door.refused == ["u2: pushed_out"]
    tasks.append(door.knock("k2", known=True))
    await settle()
    assert door.refused == ["u2: pushed_out", "u1: pushed_out"]
    tasks.append(door.knock("k3", known=True))
    await settle()
    assert door.refused[2:] == ["k3: queue_full"]
    door.running[0].set()
    await settle()
    assert len(door.running) == 2
    for _ in range(2):
        door.running[-1].set()
        await settle()
    await asyncio.gather(*tasks)


async def test_a_wait_ends_with_its_bound_or_its_deadline() -> None:
    for options, wait in (({"max_wait": 0.01}, None), ({"max_wait": 60.0}, 0.01)):
        door = Door(initial=1, **options)
        first = door.knock("a")
        await settle()
        await door.knock("b", remaining=wait)
        assert (door.refused, door.shedding.queued) == (["b: waited"], 0)
        door.running[0].set()
        await first


async def test_a_client_that_leaves_gives_its_place_on() -> None:
    door = Door(initial=1)
    first, waiting, last = door.knock("a"), door.knock("b"), door.knock("c")
    await settle()
    waiting.cancel()
    await settle()
    assert door.shedding.queued == 1
    first.cancel()
    await settle()
    assert (door.shedding.in_flight, door.shedding.queued, len(door.running)) == (1, 0, 2)
    door.running[1].set()
    await last
    assert door.shedding.in_flight == 0


async def test_a_place_that_comes_as_its_client_leaves_is_not_lost() -> None:
    door = Door(initial=1)
    first, second, third = door.knock("a"), door.knock("b"), door.knock("c")
    await settle()
    first.cancel()
    await asyncio.sleep(0)  # the place has been given to b, which has not run yet
    second.cancel()
    await settle()
    assert (door.shedding.in_flight, len(door.running)) == (1, 2)
    door.running[-1].set()
    await third
    assert (door.shedding.in_flight, door.shedding.queued) == (0, 0)


async def test_an_answer_that_has_begun_gives_its_place_back() -> None:
    streaming = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await streaming.wait()
        await send({"type": "http.response.body", "body": b""})

    async def send(_message: Any) -> None:
        pass

    shedding = LoadShedding(app)
    task = asyncio.create_task(shedding({"type": "http", "method": "GET", "path": "/"}, None, send))  # type: ignore[arg-type]
    await settle()
    assert shedding.in_flight == 0
    streaming.set()
    await task
    assert shedding.in_flight == 0


# A loop that has more to do than it can.


async def test_a_loop_that_is_late_for_a_window_is_overloaded_until_it_is_in_time_again() -> None:
    clock = Clock()
    lag = LoopLag(LoadSheddingConfig(window=0.1, lag=0.005), clock)
    lag.request()
    seen = []
    for late in (0.05, 0.05, 0.05, 0.004, 0.004, 0.05, 0.004, 0.004, 0.004):
        lag.request()
        clock.now += 0.02 + late
        lag.tick()
        seen.append(lag.overloaded)
    assert seen == [False, False, True, True, True, True, True, True, False]


async def test_one_block_is_no_overload() -> None:
    clock = Clock()
    lag = LoopLag(LoadSheddingConfig(window=0.1, lag=0.005), clock)
    lag.request()
    for late in (5.0, 0.001, 0.001, 0.001, 5.0):
        lag.request()
        clock.now += 0.02 + late
        lag.tick()
        clock.now += 0.2  # what had piled up runs
        assert not lag.overloaded
        clock.now -= 0.2


async def test_where_nobody_comes_nobody_looks_and_nothing_is_remembered() -> None:
    clock = Clock()
    lag = LoopLag(LoadSheddingConfig(window=0.1, lag=0.005), clock)
    lag.request()
    for _ in range(3):
        lag.request()
        clock.now += 0.5
        lag.tick()
    before = lag.overloaded
    clock.now += 0.5
    lag.tick()
    assert (before, lag.overloaded) == (True, False)
    assert lag._expected is None


async def test_who_has_waited_for_an_overloaded_loop_is_told_and_known_callers_wait_twice_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, refused = Clock(), list[str]()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        refused.append("let in")

    async def refuse(_scope: Scope, _receive: Receive, _send: Send, error: Overloaded) -> None:
        refused.append(error.reason)

    shedding = LoadShedding(
        app, config=LoadSheddingConfig(sojourn=0.02), clock=clock, refuse=refuse,
        arrived=lambda scope: scope["arrived"], is_known=lambda scope: scope["known"],
    )  # fmt: skip

    async def ask(*waited: float | None, known: bool = False) -> list[str]:
        refused.clear()
        await asyncio.gather(*(come(each, known=known) for each in waited))
        await rounds(3)
        return [*refused]

    async def come(waited: float | None, *, known: bool) -> None:
        arrived = None if waited is None else clock.now - waited
        scope = {"type": "http", "method": "GET", "path": "/", "arrived": arrived, "known": known}
        await shedding(scope, None, None)  # type: ignore[arg-type]

    assert await ask(10, 10) == ["let in"] * 2
    monkeypatch.setattr(LoopLag, "request", lambda _self: True)
    assert await ask(10) == ["let in"]  # nobody else is there: to turn it away would help nobody
    assert [await ask(10, waited) for waited in (0.019, None)] == [["let in"] * 2] * 2
    assert await ask(10, 0.021) == ["late", "let in"]
    assert [await ask(10, waited, known=True) for waited in (0.039, 0.041)] == [["let in"] * 2, ["late", "let in"]]


class Queue:
    """Requests that take turns, each of which computes for a while."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = Turns(LoadSheddingConfig(window=0.1), self.clock)
        self.computed: list[str] = []

    def come(self, name: str, seconds: float = 0.008, *, known: bool = False) -> asyncio.Task[None]:
        async def request() -> None:
            await self.turns.take(known=known)
            self.computed.append(name)
            self.clock.now += seconds

        return asyncio.create_task(request())


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_turns_are_taken_one_by_one_and_known_callers_first() -> None:
    queue = Queue()
    tasks = [queue.come(name, known=name == "k") for name in "abk"]
    seen: list[list[str]] = []
    for _ in range(20):
        await rounds(1)
        seen.append([*queue.computed])
    assert queue.computed == ["k", "a", "b"]
    assert all(len(later) <= len(before) + 1 for before, later in itertools.pairwise(seen))
    await asyncio.gather(*tasks)


async def test_what_a_turn_takes_is_learnt_and_tells_how_long_the_next_would_wait() -> None:
    queue = Queue()
    await queue.come("a")
    await rounds(3)
    assert queue.turns.pace == pytest.approx(0.008)
    tasks = [queue.come(name, known=name == "k") for name in "kbc"]
    await rounds(1)
    assert queue.turns.waiting == 3
    assert queue.turns.expected(known=True) == pytest.approx(0.008)
    assert queue.turns.expected(known=False) == pytest.approx(0.024)
    await asyncio.gather(*tasks)
    await queue.come("d", seconds=0.108)
    await rounds(3)
    assert queue.turns.pace == pytest.approx(0.028)


async def test_many_that_are_quick_begin_at_once_up_to_the_length_of_a_turn() -> None:
    queue = Queue()
    await queue.come("a", TURN / 3.5)
    await rounds(3)
    tasks = [queue.come(str(number), TURN / 3.5) for number in range(6)]
    seen = set()
    for _ in range(20):
        await rounds(1)
        seen.add(len(queue.computed) - 1)
    assert seen == {0, 3, 6}
    await asyncio.gather(*tasks)


async def test_who_leaves_takes_no_turn() -> None:
    queue = Queue()
    first, second, third = (queue.come(name) for name in "abc")
    await rounds(1)
    second.cancel()
    await asyncio.gather(first, third)
    assert queue.computed == ["a", "c"]
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_turns_are_taken_until_nobody_has_waited_behind_another_for_a_window() -> None:
    queue = Queue()
    before = queue.turns.taken
    await asyncio.gather(queue.come("a", 0.2), queue.come("b", 0.01))
    await rounds(3)
    seen = [queue.turns.taken]  # b waited until 0.2 s, and it is 0.21 s
    queue.clock.now += 0.08
    await queue.come("c", 0.0)
    await rounds(3)
    seen.append(queue.turns.taken)
    queue.clock.now += 0.02
    assert (before, *seen, queue.turns.taken) == (False, True, True, False)


async def test_who_comes_while_turns_are_taken_takes_one_however_well_the_loop_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overloaded = iter([True, True, False])
    monkeypatch.setattr(LoopLag, "request", lambda _self: next(overloaded))
    let_in: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        let_in.append(scope["path"])

    shedding = LoadShedding(app)
    scopes = [{"type": "http", "method": "GET", "path": path} for path in "abc"]
    await asyncio.gather(*(shedding(scope, None, None) for scope in scopes))  # type: ignore[arg-type]
    assert let_in == ["a", "b", "c"]


def test_over_a_socket_who_is_too_many_hears_of_it_before_the_others_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one computes and one waits, five come: for three of them there is time, and two wait for nobody."""
    monkeypatch.setattr(LoopLag, "request", lambda _self: True)
    clock, happened = Clock(), list[str]()
    held, go = threading.Semaphore(0), threading.Semaphore(0)

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/hold":
            held.release()
            go.acquire(timeout=30)  # on the loop: what computes looks at nothing else
        if scope["path"] != "/livez":
            happened.append("computed")
            clock.now += 0.006
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def refuse(_scope: Scope, _receive: Receive, send: Send, error: Overloaded) -> None:
        happened.append(error.reason)
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = LoadSheddingConfig(sojourn=0.02)
    shedding = LoadShedding(app, config=config, clock=clock, exempt=frozenset({"/livez"}), refuse=refuse)
    with serve(shedding, lifespan="off") as url:
        clients = [http.client.HTTPConnection(urlsplit(url).netloc, timeout=30) for _ in range(8)]
        for client in clients:
            client.request("GET", "/livez")  # so that the connection is there
            client.getresponse().read()
        clients[0].request("GET", "/hold")
        assert held.acquire(timeout=30)
        clients[1].request("GET", "/hold")
        clients[2].request("GET", "/")
        go.release()
        assert held.acquire(timeout=30)
        for client in clients[3:]:
            client.request("GET", "/")
        go.release()
        statuses = sorted(client.getresponse().status for client in clients)
        for client in clients:
            client.close()
    assert statuses == [204] * 6 + [503] * 2
    assert happened == ["computed", "computed", "late", "late", *["computed"] * 4]


@pytest.mark.parametrize(
    ("status", "counts"), [(200, True), (404, False), (429, False), (500, True), (503, False), (504, True)]
)
async def test_a_refusal_is_no_sample(status: int, *, counts: bool) -> None:
    """It takes no time, and would make every other answer slow beside it."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(_message: Any) -> None:
        pass

    shedding = LoadShedding(app, config=LoadSheddingConfig(samples=1, window=0))
    await shedding({"type": "http", "method": "GET", "path": "/"}, None, send)  # type: ignore[arg-type]
    assert bool(shedding.gradient._usual) is counts


def test_over_a_socket_the_rest_is_told_when_to_come_back() -> None:
    full, go = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/hang":
            loops.append(asyncio.get_running_loop())
            full.set()
            await go.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = LoadSheddingConfig(least=1, initial=1, unknown_share=1.0, queue=0)
    with serve(LoadShedding(app, config=config, exempt=frozenset({"/livez"})), lifespan="off") as url:
        hanging = threading.Thread(target=httpx2.get, args=(f"{url}/hang",))
        hanging.start()
        full.wait(10)
        answer = httpx2.get(url)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert httpx2.get(f"{url}/livez").status_code == 204
        loops[0].call_soon_threadsafe(go.set)
        hanging.join()
        assert httpx2.get(url).status_code == 204

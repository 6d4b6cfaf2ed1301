from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import inspect
import math
import tracemalloc
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import httpx2
import limits.aio.strategies
import pytest
import redis.asyncio
import slowapi
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from limits.storage import storage_from_string
from slowapi.errors import RateLimitExceeded
from slowapi.wrappers import Limit
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from app.patterns.client_address import ClientAddress
from app.patterns.rate_limit import (
    AsyncLimiter,
    BoundedMemoryStorage,
    FailedAttempts,
    FloodLimit,
    InvalidRate,
    RateLimit,
    RateLimitConfig,
    RateLimited,
    SharedStorage,
    address_block,
    decide,
    parse_rate,
)
from app.patterns.rate_limit_storage import RedisStorageConfig, RedisWindowStorage
from tests.support.live import serve
from tests.support.redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

PATIENT = RateLimitConfig(timeout=10, retry_interval=60)  # a busy machine must not look like a lost Redis


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})


def caller(scope: Scope) -> str:
    """Tells callers apart by a header, in place of an authentication guard."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-caller"), "nobody")


def peer(scope: Scope) -> str:
    address: str = scope["client"][0]
    return address


def guarded(limiter: AsyncLimiter, rate: str = "3/minute", name: str = "GET /", **options: Any) -> RateLimit:
    return RateLimit(hello, limiter=limiter, rate=rate, name=name, key=caller, **options)


@contextlib.contextmanager
def service(app: ASGIApp, *limiters: AsyncLimiter) -> Iterator[httpx2.Client]:
    """Serve ``app``, close the limiters at shutdown, and yield a client for it."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for limiter in limiters:
            await limiter.aclose()

    served = Starlette(routes=[Mount("/", app=app)], lifespan=lifespan)
    with serve(served, proxy_headers=False) as url, httpx2.Client(base_url=url, timeout=30) as client:
        yield client


def statuses(client: httpx2.Client, count: int, **options: Any) -> list[int]:
    return [client.get("/", **options).status_code for _ in range(count)]


# Rates


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("60/minute", [(60, 60)]),
        ("1 per second", [(1, 1)]),
        ("5 per 2 hours", [(5, 7200)]),
        ("10/second;100/hour", [(10, 1), (100, 3600)]),
        ("10/second, 100/hour", [(10, 1), (100, 3600)]),
        ("1000000/month", [(1_000_000, 30 * 86_400)]),
        ("1/31 days", [(1, 31 * 86_400)]),
    ],
)
def test_a_rate_is_parsed_in_slowapis_notation(text: str, windows: list[tuple[int, int]]) -> None:
    assert [(item.amount, item.get_expiry()) for item in parse_rate(text)] == windows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "often",
        "60",
        "0/minute",
        "-1/minute",
        "1.5/minute",
        "5/0 minutes",
        "5/fortnight",
        "5/minute:",
        "5/minute;",
        "5/minute 6/hour",
        "\u0665/minute",
        "1000001/minute",
        "1/32 days",
        "1/year",
        "5/minute;6/60 seconds",
        "1/second;2/minute;3/hour;4/day;5/month",
        "1/second;" * 100,
        "9" * 5000 + "/minute",
    ],
)
def test_a_rate_that_limits_nothing_admits_nothing_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRate, match=r"^rate "):
        parse_rate(text)


def test_a_bad_rate_stops_the_guard_from_being_built() -> None:
    with pytest.raises(InvalidRate, match="0/minute"):
        guarded(AsyncLimiter(), "0/minute")


def test_one_name_cannot_be_declared_at_two_rates() -> None:
    limiter = AsyncLimiter()
    guarded(limiter, "3/minute")
    guarded(limiter, "3/minute")
    with pytest.raises(ValueError, match="'GET /' is declared twice"):
        guarded(limiter, "4/minute")


@pytest.mark.parametrize(
    "numbers",
    [{"timeout": 0}, {"timeout": 5, "retry_interval": 5}, {"retry_interval": math.inf}, {"max_keys": 0}],
)
def test_numbers_that_switch_a_bound_off_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        RateLimitConfig(**numbers)  # type: ignore[arg-type]  # the point


# The counting, in memory


class Model:
    """The sliding window counter told plainly: every hit is remembered, all arithmetic is exact."""

    def __init__(self, max_keys: int) -> None:
        self.max_keys = max_keys
        self.order: list[str] = []  # least recently seen first
        self.start: dict[str, Fraction] = {}
        self.length: dict[str, int] = {}
        self.hits: dict[str, list[Fraction]] = {}

    def hit(self, key: str, limit: int, length: int, amount: int, now: Fraction) -> tuple[bool, int, int]:
        start, hits = now, []
        if key in self.order:
            self.order.append(self.order.pop(self.order.index(key)))
            if now < self.start[key] + 2 * length:
                start, hits = self.start[key], self.hits[key]
                start += length if now >= start + length else 0
        previous = sum(start - length <= hit < start for hit in hits)
        current = sum(hit >= start for hit in hits)
        weight = Fraction(previous) * (start + length - now) / length
        carried = max(0, math.ceil(weight) - 1)  # a slot is free at the very moment it slides out
        if carried + current + amount > limit:
            return False, previous, current
        if amount:
            self.store(key, start, length, [*hits, *[now] * amount], now)
        return True, previous, current + amount

    def store(self, key: str, start: Fraction, length: int, hits: list[Fraction], now: Fraction) -> None:
        if key not in self.order:
            self.order.append(key)
        self.start[key], self.length[key], self.hits[key] = start, length, hits
        oldest = self.order[0]
        if len(self.order) > self.max_keys or now >= self.start[oldest] + 2 * self.length[oldest]:
            self.order.remove(oldest)


LENGTHS = {"a": 2, "b": 2, "c": 3, "d": 60, "e": 1}  # seconds, by key


@given(
    max_keys=st.integers(1, 4),
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(sorted(LENGTHS)), st.integers(0, 3)), max_size=80),
)
@settings(deadline=None)
def test_the_memory_storage_agrees_with_a_plain_model(
    max_keys: int, limit: int, steps: list[tuple[int, str, int]]
) -> None:
    clock = Clock(0.0)
    storage = BoundedMemoryStorage(max_keys=max_keys, clock=clock)
    model = Model(max_keys)
    for eighths, key, amount in steps:
        clock.now += eighths / 8
        allowed, [(previous, current, _)] = storage.hit(((limit, LENGTHS[key]),), (key,), amount)
        assert (allowed, previous, current) == model.hit(key, limit, LENGTHS[key], amount, Fraction(clock.now))
        assert len(storage) == len(model.order) <= max_keys


@given(
    limit=st.integers(1, 5),
    length=st.integers(1, 60),
    steps=st.lists(st.tuples(st.floats(0, 90, allow_nan=False), st.integers(0, 2)), max_size=40),
)
def test_the_short_way_for_one_window_says_what_the_long_way_says(
    limit: int, length: int, steps: list[tuple[float, int]]
) -> None:
    clock = Clock()
    short, long = BoundedMemoryStorage(clock=clock), BoundedMemoryStorage(clock=clock)
    windows = [(limit, length)]
    for pause, amount in steps:
        clock.now += pause
        assert decide(windows, long.hit(windows, ["key"], amount)) == short.hit_one(windows[0], "key", amount)


@given(
    limit=st.integers(1, 30),
    length=st.integers(1, 100),
    eighths=st.lists(st.integers(0, 1000), max_size=40),
)
@settings(deadline=None)
def test_a_refused_caller_is_admitted_when_it_was_told_and_no_sooner(
    limit: int, length: int, eighths: list[int]
) -> None:
    clock = Clock()
    storage = BoundedMemoryStorage(clock=clock)
    windows = ((limit, length),)
    for gap in eighths:
        clock.now += gap / 8
        storage.hit(windows, "k")
    while (answer := storage.hit(windows, "k"))[0]:
        pass
    asked, told = clock.now, decide(windows, answer).reset_after
    clock.now = asked + told * 0.999
    assert not storage.hit(windows, "k")[0]
    clock.now = asked + told
    assert storage.hit(windows, "k")[0]


def test_slots_come_back_one_by_one_as_the_window_slides() -> None:
    clock = Clock()
    storage = BoundedMemoryStorage(clock=clock)
    windows = ((10, 60),)
    for _ in range(10):
        storage.hit(windows, "k")
    assert decide(windows, storage.hit(windows, "k")) == (False, 0, 0, 60.0)
    clock.now += 60
    assert decide(windows, storage.hit(windows, "k")) == (True, 0, 0, 6.0)
    clock.now += 5
    assert decide(windows, storage.hit(windows, "k")) == (False, 0, 0, 1.0)
    clock.now += 25
    assert decide(windows, storage.hit(windows, "k")) == (True, 0, 4, 6.0)


@given(
    limit=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 25), min_size=1, max_size=100),
)
@settings(deadline=None)
def test_no_stretch_of_one_window_admits_more_than_the_limit_at_once_and_once_more_spread(
    limit: int, gaps: list[float]
) -> None:
    clock = Clock()
    storage = BoundedMemoryStorage(clock=clock)
    admitted: list[float] = []
    for gap in gaps:
        clock.now += gap
        if storage.hit(((limit, 10),), "k")[0]:
            admitted.append(clock.now)
    for first in admitted:
        for until in (1.0, 5.0, 10.0):
            within = sum(first <= hit < first + until for hit in admitted)
            assert within <= limit + math.ceil(limit * until / 10)


def test_a_burst_across_the_window_edge_passes_a_fixed_window_and_not_this_one() -> None:
    clock = Clock()
    storage = BoundedMemoryStorage(clock=clock)
    windows = ((10, 60),)
    assert storage.hit(windows, "k")[0]
    clock.now += 59.9
    assert [storage.hit(windows, "k")[0] for _ in range(10)] == [True] * 9 + [False]
    clock.now += 0.2
    assert [storage.hit(windows, "k")[0] for _ in range(10)] == [True] + [False] * 9


async def test_limits_own_fixed_window_on_this_storage_lets_the_burst_pass() -> None:
    clock = Clock()
    storage = BoundedMemoryStorage(clock=clock)
    strategy = limits.aio.strategies.FixedWindowRateLimiter(storage)
    (item,) = parse_rate("10/minute")
    assert await strategy.hit(item, "k")
    clock.now += 59.9
    assert [await strategy.hit(item, "k") for _ in range(10)] == [True] * 9 + [False]
    assert (await strategy.get_window_stats(item, "k")).remaining == 0
    clock.now += 0.2
    assert [await strategy.hit(item, "k") for _ in range(10)] == [True] * 10


async def test_limits_own_sliding_window_strategy_runs_on_this_storage() -> None:
    clock = Clock()
    storage = storage_from_string("async+bounded-memory://", max_keys=5, clock=clock)  # type: ignore[arg-type]
    assert isinstance(storage, BoundedMemoryStorage)
    strategy = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)
    (item,) = parse_rate("2/minute")
    assert [await strategy.hit(item, "k") for _ in range(3)] == [True, True, False]
    assert not await strategy.test(item, "k")
    clock.now += 90
    assert (await strategy.get_window_stats(item, "k")).remaining == 1
    await strategy.clear(item, "k")
    assert (await strategy.get_window_stats(item, "k")).remaining == 2
    assert await storage.check()
    assert await storage.get("k") == 0
    await storage.incr("k", 60)
    assert await storage.reset() == 1
    assert len(storage) == 0


def test_a_hit_that_one_limit_refuses_counts_in_none() -> None:
    clock = Clock()
    limiter = AsyncLimiter(clock=clock)
    quota = limiter.declare("GET /", "2/second;3/minute", caller)
    assert [limiter.hit_local(quota, "a").allowed for _ in range(3)] == [True, True, False]
    clock.now += 2
    verdicts = [limiter.hit_local(quota, "a") for _ in range(2)]
    assert [verdict.allowed for verdict in verdicts] == [True, False]
    assert (verdicts[1].tightest, verdicts[1].remaining, verdicts[1].reset_after) == (1, 0, 58.0)


def test_a_hundred_thousand_keys_keep_memory_bounded() -> None:
    limiter = AsyncLimiter(config=RateLimitConfig(max_keys=1000))
    quota = limiter.declare("GET /", "5/minute", caller)
    for number in range(100_000):
        limiter.hit_local(quota, f"caller-{number}")
    tracemalloc.start()  # only now, because it is slow: what the next keys add, they must also give back
    try:
        for number in range(5000):
            limiter.hit_local(quota, f"late-{number}")
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(limiter._memory) == 1000
    assert grown < 640_000  # bytes: 1000 keys of about 320; kept, the 5000 would take 1 600 000


def test_a_flood_of_keys_does_not_free_a_caller_who_keeps_hammering() -> None:
    limiter = AsyncLimiter(config=RateLimitConfig(max_keys=10))
    quota = limiter.declare("GET /", "1/hour", caller)
    limiter.hit_local(quota, "hammering")
    limiter.hit_local(quota, "pausing")
    for number in range(100):
        limiter.hit_local(quota, f"flood-{number}")
        assert not limiter.hit_local(quota, "hammering").allowed
    assert limiter.hit_local(quota, "pausing").allowed


def test_dead_keys_go_without_a_full_storage() -> None:
    clock = Clock()
    limiter = AsyncLimiter(clock=clock)
    quota = limiter.declare("GET /", "100/minute", caller)
    for number in range(99):
        limiter.hit_local(quota, f"caller-{number}")
    clock.now += 120
    for _ in range(99):
        limiter.hit_local(quota, "the one that stays")
    assert len(limiter._memory) == 1


# The guard per caller and route


def test_the_limit_is_admitted_and_one_more_is_refused() -> None:
    clock = Clock()
    with service(guarded(AsyncLimiter(clock=clock))) as client:
        admitted = [client.get("/") for _ in range(3)]
        clock.now += 18.5
        refused = client.get("/")
    assert [response.status_code for response in admitted] == [200, 200, 200]
    assert [response.text for response in admitted] == ["hello"] * 3
    assert [response.headers["ratelimit-policy"] for response in admitted] == ['"default";q=3;w=60'] * 3
    assert [response.headers["ratelimit"] for response in admitted] == [
        '"default";r=2;t=60',
        '"default";r=1;t=60',
        '"default";r=0;t=60',
    ]
    assert "retry-after" not in admitted[2].headers
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert refused.headers["ratelimit"] == '"default";r=0;t=42'
    assert refused.headers["retry-after"] == "42"
    assert refused.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "code": "rate_limited",
    }


def test_who_waits_as_told_is_admitted_and_who_comes_a_second_early_is_not() -> None:
    clock = Clock()
    with service(guarded(AsyncLimiter(clock=clock))) as client:
        assert statuses(client, 4) == [200, 200, 200, 429]
        clock.now += 59
        refused = client.get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        clock.now += 1
        assert statuses(client, 2) == [200, 429]


def test_retry_after_is_never_zero() -> None:
    clock = Clock()
    with service(guarded(AsyncLimiter(clock=clock), "1/second")) as client:
        client.get("/")
        clock.now += 1 - 1e-9
        assert client.get("/").headers["retry-after"] == "1"


def test_of_several_limits_the_tightest_is_told_and_all_are_listed() -> None:
    clock = Clock()
    with service(guarded(AsyncLimiter(clock=clock), "2/second;3/hour")) as client:
        first = client.get("/")
        clock.now += 5
        second = client.get("/")
        clock.now += 5
        third = client.get("/")
        clock.now += 5
        refused = client.get("/")
    assert first.headers["ratelimit-policy"] == '"per-1s";q=2;w=1, "per-3600s";q=3;w=3600'
    assert first.headers["ratelimit"] == '"per-1s";r=1;t=1'
    assert second.headers["ratelimit"] == '"per-3600s";r=1;t=3595'
    assert third.headers["ratelimit"] == '"per-3600s";r=0;t=3590'
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3585")


def test_callers_do_not_share_buckets() -> None:
    with service(guarded(AsyncLimiter(clock=Clock()))) as client:
        assert statuses(client, 4, headers={"X-Caller": "alice"}) == [200, 200, 200, 429]
        assert statuses(client, 4, headers={"X-Caller": "bob"}) == [200, 200, 200, 429]


def test_routes_do_not_share_buckets() -> None:
    limiter = AsyncLimiter(clock=Clock())
    routes = {path: guarded(limiter, name=f"GET {path}") for path in ("/a", "/b")}

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        await routes[scope["path"]](scope, receive, send)

    with service(router) as client:
        assert [client.get("/a").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert [client.get("/b").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_without_the_guard_nothing_is_refused() -> None:
    with service(hello) as client:
        assert statuses(client, 10) == [200] * 10


def test_another_answer_to_refusals_can_be_given() -> None:
    errors: list[RateLimited] = []

    async def refuse(scope: Scope, receive: Receive, send: Send, error: RateLimited) -> None:
        errors.append(error)
        await PlainTextResponse("no", 429)(scope, receive, send)

    with service(guarded(AsyncLimiter(clock=Clock()), "1/minute", refuse=refuse)) as client:
        assert [client.get("/").text for _ in range(2)] == ["hello", "no"]
    assert isinstance(errors[0], RateLimitExceeded)
    assert errors[0].retry_after == 60.0
    assert errors[0].header_list == (
        (b"ratelimit-policy", b'"default";q=1;w=60'),
        (b"ratelimit", b'"default";r=0;t=60'),
        (b"retry-after", b"60"),
    )


def test_a_raised_refusal_is_answered_by_fastapi_itself() -> None:
    limiter = AsyncLimiter(clock=Clock())
    quota = limiter.declare("GET /", "1/minute", caller)
    app = FastAPI()

    @app.get("/")
    async def handler() -> str:
        verdict = await limiter.hit(quota, "anyone")
        if not verdict.allowed:
            raise quota.refusal(verdict)
        return "ok"

    with service(app) as client:
        assert statuses(client, 1) == [200]
        refused = client.get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")


def test_a_response_object_that_is_sent_twice_does_not_collect_headers() -> None:
    shared = PlainTextResponse("hello")
    guard = RateLimit(shared, limiter=AsyncLimiter(), rate="9/minute", name="GET /", key=caller)
    with service(guard) as client:
        client.get("/")
        assert len(client.get("/").headers.get_list("ratelimit")) == 1


async def test_what_is_not_http_passes_uncounted() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def unused(*_: Any) -> Any:
        raise AssertionError

    limiter = AsyncLimiter()
    guards: list[ASGIApp] = [
        RateLimit(app, limiter=limiter, rate="1/hour", name="WS /", key=caller),
        FloodLimit(app, limiter=limiter, rate="1/hour", client=peer),
    ]
    for guard in guards:
        for _ in range(2):
            await guard({"type": "websocket"}, unused, unused)
    assert seen == ["websocket"] * 4


async def test_any_text_can_be_a_caller() -> None:
    limiter = AsyncLimiter()
    quota = limiter.declare("GET /", "1/minute", caller)
    for text in ("", "\0", "\ud800", "x" * 100_000, "'; DROP"):
        assert (await limiter.hit(quota, text)).allowed
        assert not (await limiter.hit(quota, text)).allowed
        assert all(len(key) < 80 for key in quota.keys(text))


def test_a_hash_key_changes_every_key() -> None:
    plain = AsyncLimiter().declare("GET /", "1/minute", caller)
    keyed = AsyncLimiter(config=RateLimitConfig(hash_key=b"secret")).declare("GET /", "1/minute", caller)
    assert plain.keys("alice") != keyed.keys("alice")
    assert "secret" not in repr(RateLimitConfig(hash_key=b"secret"))


# The flood limit per address


def test_a_flood_from_one_address_is_refused_and_health_checks_are_not() -> None:
    limiter = AsyncLimiter(clock=Clock())
    guard = FloodLimit(hello, limiter=limiter, rate="3/second", client=peer, exempt=frozenset({"/livez"}))
    with service(guard) as client:
        assert statuses(client, 4) == [200, 200, 200, 429]
        assert client.get("/").headers["retry-after"] == "1"
        assert client.get("/livez").status_code == 200
        assert "ratelimit" not in client.get("/livez").headers


def test_the_flood_limit_adds_no_headers_to_what_it_admits() -> None:
    with service(FloodLimit(hello, limiter=AsyncLimiter(), rate="3/second", client=peer)) as client:
        assert "ratelimit" not in client.get("/").headers


def test_the_flood_limit_counts_by_address_and_a_spoofed_header_makes_no_new_one() -> None:
    guard = FloodLimit(hello, limiter=AsyncLimiter(clock=Clock()), rate="2/hour", client=ClientAddress())
    with service(guard) as client:
        spoofed = [client.get("/", headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)]
        assert [response.status_code for response in spoofed] == [200, 200, 429]


def test_behind_a_trusted_proxy_the_flood_limit_counts_what_the_proxy_saw() -> None:
    client_address = ClientAddress(["127.0.0.1"])
    guard = FloodLimit(hello, limiter=AsyncLimiter(clock=Clock()), rate="2/hour", client=client_address)
    with service(guard) as client:
        for address in ("203.0.113.1", "203.0.113.2"):
            forwarded = [{"X-Forwarded-For": f"198.51.100.{n}, {address}"} for n in range(3)]
            answers = [client.get("/", headers=headers).status_code for headers in forwarded]
            assert answers == [200, 200, 429]


def test_the_flood_limit_refuses_a_limiter_with_a_shared_store() -> None:
    with pytest.raises(ValueError, match="of its own"):
        FloodLimit(hello, limiter=AsyncLimiter(shared=FakeStore()), rate="3/second", client=peer)


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002"),
        ("2001:db8:1:2::", "20010db800010002"),
        ("2001:db8:1:3::", "20010db800010003"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", "unknown"),
        ("no:address", "no:address"),
        (":\0", ":\0"),
    ],
)
def test_an_ipv6_address_is_counted_by_its_64(address: str, block: str) -> None:
    assert address_block(address) == block


# Failed attempts


async def test_failures_block_at_the_limit_and_looking_does_not_count() -> None:
    clock = Clock()
    attempts = FailedAttempts(AsyncLimiter(clock=clock), "3/minute", peer)
    scope = {"type": "http", "client": ("2001:db8::1", 1)}
    neighbour = {"type": "http", "client": ("2001:db8::2", 1)}
    stranger = {"type": "http", "client": ("2001:db8:1::1", 1)}
    for _ in range(10):
        assert await attempts.blocked(scope) is None
    for _ in range(3):
        assert await attempts.blocked(scope) is None
        await attempts.failed(scope)
    assert await attempts.blocked(scope) == 60.0
    assert await attempts.blocked(neighbour) == 60.0
    assert await attempts.blocked(stranger) is None
    clock.now += 60
    assert await attempts.blocked(scope) is None


# A shared store that fails, hangs and comes back


class FakeStore:
    """A shared store on memory of its own, which can be told to fail or to hang."""

    def __init__(self) -> None:
        self.storage = BoundedMemoryStorage(clock=Clock())
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.closed = 0

    async def opened(self) -> None:
        try:
            async with asyncio.timeout(5):
                await self.gate.wait()
        except TimeoutError:
            raise AssertionError("waited for the store without a bound") from None

    async def hit(
        self, windows: Sequence[tuple[int, int]], keys: Sequence[str], amount: int
    ) -> tuple[bool, list[tuple[int, int, float]]]:
        self.asked += 1
        await self.opened()
        if self.error is not None:
            raise self.error
        return self.storage.hit(windows, keys, amount)

    async def aclose(self) -> None:
        await self.opened()
        self.closed += 1


class Setting:
    """A limiter on a fake store and a fake clock, and what it told of its transitions."""

    def __init__(self, config: RateLimitConfig = PATIENT) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.transitions: list[tuple[str, str]] = []
        self.limiter = AsyncLimiter(
            config=config,
            shared=self.store,
            clock=self.clock,
            on_transition=lambda *transition: self.transitions.append(transition),
        )
        self.quota = self.limiter.declare("GET /", "3/minute", caller)

    async def hit(self, who: str = "alice") -> bool:
        return (await self.limiter.hit(self.quota, who)).allowed


async def test_a_store_that_fails_leaves_each_process_limiting_by_itself() -> None:
    setting = Setting()
    setting.store.error = ConnectionError("redis://:secret@host")
    assert [await setting.hit() for _ in range(4)] == [True, True, True, False]
    assert setting.transitions == [("degraded", "ConnectionError")]
    setting.clock.now += 12.34
    assert setting.limiter.state() == {"state": "degraded", "since_seconds": 12.3}
    assert setting.store.asked == 1


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), ValueError(), redis.exceptions.ResponseError("OOM")])
async def test_no_error_of_a_store_reaches_a_request(error: Exception) -> None:
    setting = Setting()
    setting.store.error = error
    assert await setting.hit()
    assert setting.transitions == [("degraded", type(error).__name__)]


async def test_a_store_that_hangs_costs_its_timeout_once() -> None:
    setting = Setting(RateLimitConfig(timeout=0.01, retry_interval=60))
    setting.store.gate.clear()
    assert [await setting.hit() for _ in range(4)] == [True, True, True, False]
    assert setting.store.asked == 1
    assert setting.transitions == [("degraded", "TimeoutError")]


async def test_a_store_that_hangs_under_many_requests_makes_one_transition() -> None:
    setting = Setting(RateLimitConfig(timeout=0.01, retry_interval=60))
    setting.store.gate.clear()
    await asyncio.gather(*(setting.hit(f"caller-{number}") for number in range(50)))
    assert setting.transitions == [("degraded", "TimeoutError")]


async def test_a_store_is_not_asked_before_the_retry_interval_is_over_and_is_at_its_end() -> None:
    setting = Setting()
    setting.store.error = OSError()
    await setting.hit()
    setting.store.error = None
    setting.clock.now += PATIENT.retry_interval - 0.001
    await setting.hit()
    assert (setting.store.asked, setting.limiter.state()["state"]) == (1, "degraded")
    setting.clock.now += 0.001
    await setting.hit()
    assert (setting.store.asked, setting.limiter.state()["state"]) == (2, "ok")
    assert setting.transitions == [("degraded", "OSError"), ("ok", "recovered")]


async def test_one_request_looks_whether_the_store_is_back_and_the_others_do_not_wait() -> None:
    setting = Setting()
    setting.store.error = OSError()
    await setting.hit()
    setting.clock.now += PATIENT.retry_interval
    setting.store.error = None
    setting.store.gate.clear()
    probe = asyncio.create_task(setting.hit("probe"))
    await asyncio.sleep(0)
    assert setting.store.asked == 2
    assert [await setting.hit(f"caller-{number}") for number in range(5)] == [True] * 5
    assert (setting.store.asked, probe.done()) == (2, False)
    setting.store.gate.set()
    assert await probe
    assert setting.limiter.state()["state"] == "ok"


async def test_a_failed_look_waits_another_interval_and_is_no_transition() -> None:
    setting = Setting()
    setting.store.error = OSError()
    await setting.hit()
    setting.clock.now += PATIENT.retry_interval
    assert [await setting.hit() for _ in range(2)] == [True, True]
    assert (setting.store.asked, len(setting.transitions)) == (2, 1)


async def test_a_cancelled_look_does_not_wedge_the_limiter() -> None:
    setting = Setting()
    setting.store.error = OSError()
    await setting.hit()
    setting.clock.now += PATIENT.retry_interval
    setting.store.error = None
    setting.store.gate.clear()
    probe = asyncio.create_task(setting.hit())
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert len(setting.transitions) == 1
    setting.store.gate.set()
    setting.clock.now += PATIENT.retry_interval
    await setting.hit()
    assert setting.transitions[-1] == ("ok", "recovered")


async def test_a_cancelled_request_says_nothing_about_the_store() -> None:
    setting = Setting()
    setting.store.gate.clear()
    request = asyncio.create_task(setting.hit())
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert setting.transitions == []


async def test_an_answer_asked_for_before_a_transition_changes_nothing_after_it() -> None:
    setting = Setting()
    setting.store.gate.clear()
    late = asyncio.create_task(setting.hit("late"))
    await asyncio.sleep(0)
    failed_at_once = setting.store.gate
    setting.store.gate = asyncio.Event()
    setting.store.gate.set()
    setting.store.error = OSError()
    await setting.hit()
    assert setting.limiter.state()["state"] == "degraded"
    setting.store.error = None
    failed_at_once.set()
    assert await late
    assert setting.limiter.state()["state"] == "degraded"


async def test_closing_is_bounded_even_if_the_store_hangs() -> None:
    setting = Setting(RateLimitConfig(timeout=0.01, retry_interval=0.02))
    setting.store.gate.clear()
    await setting.limiter.aclose()
    assert setting.store.closed == 0
    setting.store.gate.set()
    await setting.limiter.aclose()
    assert setting.store.closed == 1
    await AsyncLimiter().aclose()


# Redis


class CountedStore:
    """Counts the calls that reach the real storage."""

    def __init__(self, storage: SharedStorage) -> None:
        self.storage = storage
        self.asked = 0

    async def hit(
        self, windows: Sequence[tuple[int, int]], keys: Sequence[str], amount: int
    ) -> tuple[bool, list[tuple[int, int, float]]]:
        self.asked += 1
        return await self.storage.hit(windows, keys, amount)

    async def aclose(self) -> None:
        await self.storage.aclose()


@contextlib.asynccontextmanager
async def redis_storage(url: str, **numbers: Any) -> AsyncIterator[RedisWindowStorage]:
    storage = RedisWindowStorage(url, RedisStorageConfig(**numbers))
    try:
        yield storage
    finally:
        await storage.aclose()


@contextlib.asynccontextmanager
async def redis_client(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


async def commands(client: redis.asyncio.Redis) -> Counter[str]:
    """Return how often each command has been run."""
    found = await client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): numbers["calls"] for name, numbers in found.items()})


def test_two_processes_on_one_redis_share_one_limit(redis_url: str) -> None:
    limiters = [
        AsyncLimiter(config=PATIENT, shared=RedisWindowStorage(redis_url, RedisStorageConfig(key_prefix="shared-test")))
        for _ in range(2)
    ]
    with (
        service(guarded(limiters[0], "5/hour"), limiters[0]) as one,
        service(guarded(limiters[1], "5/hour"), limiters[1]) as two,
    ):
        answers = [client.get("/") for _ in range(3) for client in (one, two)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
        "r=4",
        "r=3",
        "r=2",
        "r=1",
        "r=0",
        "r=0",
    ]
    assert 3595 <= int(answers[-1].headers["retry-after"]) <= 3600


async def test_redis_is_asked_once_a_request_and_told_no_caller(redis_url: str) -> None:
    async with redis_storage(redis_url, key_prefix="plain-test") as storage, redis_client(redis_url) as client:
        limiter = AsyncLimiter(config=PATIENT, shared=storage)
        quota = limiter.declare("GET /", "5/hour;9/day", caller)
        await limiter.hit(quota, "alice")  # connects, and loads the script
        before = await commands(client)
        await limiter.hit(quota, "alice@example.com")
        after = await commands(client)
        keys = await client.keys("plain-test:*")
        lives = [await client.pttl(key) for key in keys]
    sent = {name: calls - before[name] for name, calls in after.items() if calls > before[name]}
    assert sent.pop("evalsha") == 1
    assert set(sent) <= {"info", "pttl", "set", "del"}  # the test's own question, and what the script calls
    assert len(keys) == 4
    assert all(b"alice" not in key and len(key) < 100 for key in keys)
    assert all(0 < life <= 2 * 86_400_000 for life in lives)


@pytest.mark.parametrize("age", [0, 100, 1800, 3500, 3700, 5000, 7100, 7300])
async def test_redis_and_memory_count_alike_at_any_age_of_the_window(redis_url: str, age: int) -> None:
    clock = Clock()
    memory = BoundedMemoryStorage(clock=clock)
    windows, keys = ((7, 3600),), (f"age-{age}",)
    async with redis_storage(redis_url, key_prefix="age-test") as storage, redis_client(redis_url) as client:
        for _ in range(5):
            assert (await storage.hit(windows, keys))[0] == memory.hit(windows, keys)[0]
        clock.now += age
        # Redis has no clock to turn: the window is aged by shortening its life instead.
        await client.pexpire(f"age-test:{{{keys[0]}}}", max(1, (7200 - age) * 1000))
        if age >= 7200:
            await client.delete(f"age-test:{{{keys[0]}}}")
        for amount in (0, 3, 1, 1, 1, 1, 1):
            there, [(*counts, left)] = await storage.hit(windows, keys, amount)
            here, [(*expected, expected_left)] = memory.hit(windows, keys, amount)
            assert (there, counts) == (here, expected)
            assert left == pytest.approx(expected_left, abs=5)


async def test_redis_counts_a_hit_in_all_windows_or_in_none(redis_url: str) -> None:
    async with redis_storage(redis_url, key_prefix="all-test") as storage:
        windows, keys = ((5, 3600), (2, 86_400)), ("hour", "day")
        answers = [await storage.hit(windows, keys) for _ in range(3)]
    assert [allowed for allowed, _ in answers] == [True, True, False]
    assert [[current for _, current, _ in counts] for _, counts in answers] == [[1, 1], [2, 2], [2, 2]]


async def test_a_counter_that_redis_lost_takes_the_one_before_it_along(redis_url: str) -> None:
    async with redis_storage(redis_url, key_prefix="lost-test") as storage, redis_client(redis_url) as client:
        await client.set("lost-test:{k}/-1", 100, px=3_600_000)
        answers = [await storage.hit(((5, 3600),), ("k",)) for _ in range(2)]
    assert [(allowed, counts[0][:2]) for allowed, counts in answers] == [(True, (0, 1)), (True, (0, 2))]


async def test_limits_own_strategy_reads_what_was_counted_in_redis(redis_url: str) -> None:
    async with redis_storage(redis_url, key_prefix="interop-test") as storage:
        strategy = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)
        (item,) = parse_rate("5/hour")
        await storage.hit(((5, 3600),), (item.key_for("k"),), 2)
        assert await strategy.hit(item, "k")
        assert (await strategy.get_window_stats(item, "k")).remaining == 2


async def test_more_requests_at_once_than_connections_all_get_their_answer(redis_url: str) -> None:
    async with redis_storage(redis_url, key_prefix="pool-test", max_connections=2) as storage:
        transitions: list[tuple[str, str]] = []
        limiter = AsyncLimiter(
            config=PATIENT, shared=storage, on_transition=lambda *transition: transitions.append(transition)
        )
        quota = limiter.declare("GET /", "50/hour", caller)
        verdicts = await asyncio.gather(*(limiter.hit(quota, "alice") for _ in range(80)))
        connections = len(storage._pool._available_connections) + len(storage._pool._in_use_connections)
    assert sum(verdict.allowed for verdict in verdicts) == 50
    assert connections == 2
    assert transitions == []


def test_a_redis_that_dies_is_survived_told_once_and_found_again() -> None:
    clock = Clock()
    transitions: list[tuple[str, str]] = []
    with redis_server() as server:
        store = CountedStore(RedisWindowStorage(server.url))
        limiter = AsyncLimiter(
            config=PATIENT,
            shared=store,
            clock=clock,
            on_transition=lambda *transition: transitions.append(transition),
        )
        with service(guarded(limiter, "5/hour"), limiter) as client:
            assert statuses(client, 2) == [200, 200]
            server.stop()
            assert statuses(client, 6) == [200] * 5 + [429]  # this process's own count, from zero
            assert (limiter.state()["state"], store.asked) == ("degraded", 3)
            assert [state for state, _ in transitions] == ["degraded"]
            server.start()
            clock.now += PATIENT.retry_interval
            back = client.get("/")
            assert (back.status_code, back.headers["ratelimit"].split(";")[1]) == (200, "r=4")
            assert limiter.state()["state"] == "ok"
    assert transitions[1:] == [("ok", "recovered")]


def test_a_redis_that_hangs_does_not_make_every_request_wait() -> None:
    clock = Clock()
    transitions: list[tuple[str, str]] = []
    with redis_server() as server:
        store = CountedStore(RedisWindowStorage(server.url))
        limiter = AsyncLimiter(
            config=RateLimitConfig(timeout=2, retry_interval=60),
            shared=store,
            clock=clock,
            on_transition=lambda *transition: transitions.append(transition),
        )
        with service(guarded(limiter, "5/hour"), limiter) as client:
            assert statuses(client, 2) == [200, 200]
            server.freeze()
            assert statuses(client, 6) == [200] * 5 + [429]
            assert store.asked == 3  # one waited, for two seconds; five did not
            assert transitions == [("degraded", "TimeoutError")]
            server.thaw()
            clock.now += 60
            # Two hits before, this one, and the one that was given up if Redis still read it.
            assert client.get("/").headers["ratelimit"].split(";")[1] in {"r=1", "r=2"}
            assert limiter.state()["state"] == "ok"
    assert transitions[1:] == [("ok", "recovered")]


@pytest.mark.parametrize("credentials", ["", ":wrong@"])
async def test_a_redis_that_refuses_us_is_survived(redis_url: str, credentials: str) -> None:
    transitions: list[tuple[str, str]] = []
    async with redis_storage(f"redis://{credentials}{redis_url.partition('@')[2]}") as storage:
        limiter = AsyncLimiter(
            config=PATIENT, shared=storage, on_transition=lambda *transition: transitions.append(transition)
        )
        quota = limiter.declare("GET /", "1/hour", caller)
        assert [(await limiter.hit(quota, "alice")).allowed for _ in range(2)] == [True, False]
    assert transitions == [("degraded", "AuthenticationError")]


# What the subclass takes from slowapi


def test_slowapi_is_the_version_whose_internals_are_relied_upon() -> None:
    assert importlib.metadata.version("slowapi") == "0.1.10"
    parameters = inspect.signature(slowapi.Limiter.__init__).parameters
    assert {"key_func", "storage_uri", "storage_options", "config_filename"} <= set(parameters)
    assert list(inspect.signature(Limit.__init__).parameters)[1:] == [
        "limit",
        "key_func",
        "scope",
        "per_method",
        "methods",
        "error_message",
        "exempt_when",
        "cost",
        "override_defaults",
    ]
    assert list(inspect.signature(RateLimitExceeded.__init__).parameters) == ["self", "limit"]
    assert {"get_app_config", "limit", "shared_limit"} <= set(vars(slowapi.Limiter))


def test_a_guards_limits_are_declared_with_slowapi() -> None:
    limiter = AsyncLimiter()
    guarded(limiter, "2/second;3/minute", "GET /a")
    assert isinstance(limiter, slowapi.Limiter)
    declared = limiter._route_limits["GET /a"]
    assert [limit.limit for limit in declared] == list(parse_rate("2/second;3/minute"))
    assert [limit.scope for limit in declared] == ["GET /a", "GET /a"]


def test_slowapis_own_evaluation_is_closed() -> None:
    limiter = AsyncLimiter()
    (item,) = parse_rate("1/minute")
    with pytest.raises(TypeError, match="closed"):
        limiter.limiter.hit(item, "k")
    with pytest.raises(TypeError, match="closed"):
        limiter.reset()
    for decorator in (limiter.limit, limiter.shared_limit):
        with pytest.raises(TypeError, match="wrap its route in RateLimit"):
            decorator("1/minute", "scope")


def test_no_env_file_and_no_variable_configures_the_limiter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"RATELIMIT_ENABLED=\xff\n")  # reading it would raise
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    monkeypatch.setenv("RATELIMIT_STORAGE_URL", "redis://elsewhere")
    monkeypatch.setenv("RATELIMIT_DEFAULT", "1/year")
    limiter = AsyncLimiter()
    assert limiter.enabled is True
    assert limiter._default_limits == []

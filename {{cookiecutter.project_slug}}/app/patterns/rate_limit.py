"""Rate limits: so many requests per caller and route, per client address, per failed login.

**The threat.** One caller, or a loop in one caller's code, takes the capacity of all; a flood keeps the
service busy; tokens are guessed at line speed. Usual limiters fail in three ways: they are not attached to
the routes they name, they block the event loop on a slow store, they stop limiting (or answering) when the
store is away.

**How it works.** slowapi's ``Limiter`` stays the place where limits are declared, in its notation, and its
``RateLimitExceeded`` the error. Evaluation is on ``limits.aio``; slowapi's own is synchronous, and closed
here. The strategy is the sliding window counter: a fixed window admits twice the limit in one instant across
its edge, a log of all hits takes memory in proportion to the limit. Two counters per key admit the limit at
once and then the limit spread over the window (as a token bucket does), in the same O(1) and one round trip
that a fixed window costs. Refused requests do not count.

**Defaults** stand in `RateLimitConfig`, each with its reason. With a shared store all processes have one
count. When it fails or is slow, each process limits by itself: N processes admit up to N times the limit,
from fresh counts. Then one request per retry interval looks whether the store is back; no other waits for it.

**What an attacker can do.** A flood of invented keys evicts the least recently seen keys of the memory
storage: a caller who pauses meanwhile may get a fresh allowance early. It cannot grow memory, slow a hit, or
free a caller who keeps hammering (each look makes its key the last to go). Who owns a thousand addresses or
identities has a thousand times the limit; an IPv6 /48 is 65 536 addresses in the sense of `address_block`.

**What it does not do.** No fairness below the limits and no bound on concurrency (that is load shedding), no
quotas over months (they belong in a database), no WebSockets.

**How to lift it.** Copy this one file (it is long because all of it is needed) with ``slowapi==0.1.10`` and
``limits>=5.8``; counts shared between processes want a `SharedStorage` too, such as rate_limit_storage.py::

    limiter = AsyncLimiter(shared=RedisWindowStorage("redis://..."), on_transition=log_transition)
    app = RateLimit(app, limiter=limiter, rate="60/minute", name="GET /orders", key=lambda scope: ...)
    await limiter.aclose()  # at shutdown
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import socket
import sys
import time
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Protocol, TypeVar

import slowapi
from limits import RateLimitItem, parse_many
from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.storage import Storage as SyncStorage
from slowapi.errors import RateLimitExceeded
from slowapi.wrappers import Limit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Clock = Callable[[], float]
Header = tuple[bytes, bytes]
Refuse = Callable[["Scope", "Receive", "Send", "RateLimited"], Awaitable[None]]
Window = tuple[int, int]  # (limit in hits, length in seconds)
Counts = tuple[int, int, float]  # (hits in the previous window, in the current one, seconds left of it)
Answer = tuple[bool, list[Counts]]  # (allowed, the counts of each window after the hit)
T = TypeVar("T")

MAX_AMOUNT = 1_000_000  # hits a window: beyond it a limit limits nothing, and is most likely a typo
MAX_WINDOW = 31 * 86_400  # seconds: no counter in memory or in a cache can be trusted for longer
MAX_LIMITS = 4  # limits in one rate: each costs a key per caller
TOLERANCE = 1e-6  # hits: keeps floating-point noise from holding a slot back when its time has come
_RATE = re.compile(r"\s*[1-9]\d{0,8}\s*(/|per)\s*([1-9]\d{0,8})?\s*[a-z]+\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RateLimitConfig:
    """The numbers of a limiter.

    Attributes:
        timeout: seconds for one call of the shared store, waiting for a connection included. Redis in the
            same zone answers in 1 ms; 0.25 leaves room for a TLS connect and a busy event loop.
        retry_interval: seconds between two looks at a store that failed. A look costs one request up to
            ``timeout``; 5 s keeps that rare and the time without shared counts short.
        max_keys: keys of the memory storage; 65 536 take 20 MiB when full (measured: 320 bytes each).
        hash_key: secret for the hash of caller ids, up to 64 bytes, equal in all processes. Without it
            whoever reads the store can find an IPv4 address by hashing all of them.
    """

    timeout: float = 0.25
    retry_interval: float = 5.0
    max_keys: int = 65_536
    hash_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        """Refuse numbers that would switch a bound off."""
        if not 0 < self.timeout < self.retry_interval < math.inf:
            raise ValueError("rate limit: 0 < timeout < retry_interval (seconds) must hold")
        if self.max_keys < 1 or len(self.hash_key) > blake2b.MAX_KEY_SIZE:
            raise ValueError("rate limit: max_keys must be at least 1, hash_key at most 64 bytes")


DEFAULTS = RateLimitConfig()


class InvalidRate(ValueError):
    """A rate that is no rate, admits nothing or limits nothing."""


class RateLimited(RateLimitExceeded):
    """A limit is used up: answer 429 (RFC 6585, section 4).

    Attributes:
        retry_after: seconds until the next request can be admitted.
        header_list: ``RateLimit-Policy``, ``RateLimit`` and ``Retry-After`` as ASGI headers; ``headers`` has
            the same as a mapping, for Starlette's handlers.
    """

    code: ClassVar[str] = "rate_limited"

    def __init__(self, limit: Limit, retry_after: float, header_list: tuple[Header, ...]) -> None:
        super().__init__(limit)
        self.retry_after = retry_after
        self.header_list = header_list
        self.headers = {name.decode(): value.decode() for name, value in header_list}


def parse_rate(text: str) -> tuple[RateLimitItem, ...]:
    """Parse a rate in slowapi's notation: ``"60/minute"``, ``"10/second;100/hour"``, ``"5 per 2 hours"``.

    Raises:
        InvalidRate: not in that notation, zero, more than `MAX_AMOUNT` hits or `MAX_WINDOW` seconds, more
            than `MAX_LIMITS` limits, or two limits over the same window.
    """
    shown = f"rate {text[:80]!r}"
    # Stricter than limits' own pattern, which takes "5/0 minutes" for "5/minute".
    if not all(_RATE.fullmatch(part) for part in re.split("[,;|]", text)):
        raise InvalidRate(f"{shown}: want e.g. '60/minute' or '10/second;100/hour', above zero")
    try:
        items = tuple(parse_many(text))
    except ValueError as error:
        raise InvalidRate(f"{shown}: the unit is second, minute, hour, day or month") from error
    if any(item.amount > MAX_AMOUNT or item.get_expiry() > MAX_WINDOW for item in items):
        raise InvalidRate(f"{shown}: more than {MAX_AMOUNT} hits, or a window of over 31 days")
    if len(items) > MAX_LIMITS or len({item.get_expiry() for item in items}) < len(items):
        raise InvalidRate(f"{shown}: more than {MAX_LIMITS} limits, or two over the same window")
    return items


class Verdict(NamedTuple):
    """What a hit found, told by the tightest of its limits.

    Attributes:
        allowed: the hit was counted; a refused one counts in no window.
        tightest: index of the limit with the fewest hits left (of equals, the one that takes longest).
        remaining: hits left of it.
        reset_after: seconds until it has one more, which is what ``t`` means since
            draft-ietf-httpapi-ratelimit-headers-10.
    """

    allowed: bool
    tightest: int
    remaining: int
    reset_after: float


_verdict: Callable[[tuple[bool, int, int, float]], Verdict] = partial(tuple.__new__, Verdict)
"""Makes a verdict of its parts, without the function that a named tuple puts in front of that."""


def carried_over(previous: int, left: float, length: float) -> int:
    """Return how many hits of the previous window still weigh on the current one."""
    return int(previous * left / length - TOLERANCE)


def decide(windows: Sequence[Window], answer: Answer) -> Verdict:
    """Turn the counts of all windows into a verdict."""
    allowed, counts = answer
    tightest, least, longest = 0, MAX_AMOUNT + 1, 0.0
    for index, (previous, current, left) in enumerate(counts):
        limit, length = windows[index]
        carried = carried_over(previous, left, length) if previous else 0
        remaining = limit - carried - current
        # The hits of the previous window give their slots back one by one as the window slides; once none
        # is left, the next slot comes when the current window becomes the previous one.
        wait = left - carried * length / previous if carried else left
        if remaining < least or (remaining == least and wait > longest):
            tightest, least, longest = index, remaining, wait
    return Verdict(allowed, tightest, max(0, least), max(0.0, longest))


class BoundedMemoryStorage(Storage, SlidingWindowCounterSupport):
    """Sliding window counters of one process: O(1) a hit, at most ``max_keys`` keys, no lock, no task.

    limits' own memory storage keeps every key and walks all of them on each hit. Here the least recently
    seen key goes when there is one too many, and each counted hit drops the oldest key if it is dead, so
    memory comes back after a flood. A key's first window starts at its first hit: callers do not all reset
    at the same moment. For one event loop: nothing awaits between reading and writing.

    Args:
        uri: what limits' registry passes (``async+bounded-memory://``); unused.
        wrap_exceptions: limits' own; nothing here raises.
        max_keys: cap on the number of keys.
        clock: seconds that never go back, from any origin.
    """

    STORAGE_SCHEME: ClassVar[list[str]] = ["async+bounded-memory"]  # type: ignore[misc]  # class-level there too

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,  # noqa: FBT001, FBT002 - limits' signature
        *,
        max_keys: int = DEFAULTS.max_keys,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        self._max_keys = max_keys
        self._clock = clock
        # key -> (start of the current window, hits in it, hits in the one before, length in seconds)
        self._entries: OrderedDict[str, tuple[float, int, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def hit(self, windows: Sequence[Window], keys: Sequence[str], amount: int = 1) -> Answer:
        """Count ``amount`` hits in all windows, or in none if one of them is used up; 0 only looks."""
        now = self._clock()
        allowed = True
        counts: list[Counts] = []
        starts: list[float] = []
        for (limit, length), key in zip(windows, keys, strict=True):
            start, current, previous = self._window(key, length, now)
            left = start + length - now
            carried = carried_over(previous, left, length) if previous else 0
            allowed = allowed and carried + current + amount <= limit
            counts.append((previous, current + amount, left))
            starts.append(start)
        if not allowed:
            return False, [(previous, current - amount, left) for previous, current, left in counts]
        if amount:
            for index, (previous, current, _) in enumerate(counts):
                self._store(keys[index], (starts[index], current, previous, windows[index][1]), now)
        return True, counts

    def hit_one(self, window: Window, key: str, amount: int = 1) -> Verdict:
        """Count in a single window and decide at once: ``decide(hit(...))`` without its lists, for the usual rate."""
        now, entries = self._clock(), self._entries
        limit, length = window
        entry = entries.get(key)
        if entry is not None and now - entry[0] < length:  # in its window, as nearly every hit is
            entries.move_to_end(key)
            start, current, previous, _ = entry
        else:
            start, current, previous = self._window(key, length, now)
        left = start + length - now
        carried = carried_over(previous, left, length) if previous else 0
        remaining = limit - carried - current - amount
        wait = left - carried * length / previous if carried else left
        if wait < 0.0:  # noqa: PLR1730 - a comparison costs a quarter of max()
            wait = 0.0
        if remaining < 0:
            return _verdict((False, 0, max(0, remaining + amount), wait))
        if amount:
            self._store(key, (start, current + amount, previous, length), now)
        return _verdict((True, 0, remaining, wait))

    def _window(self, key: str, length: int, now: float) -> tuple[float, int, int]:
        entry = self._entries.get(key)
        if entry is None:
            return now, 0, 0
        self._entries.move_to_end(key)  # also for a hit that will be refused: who hammers is not forgotten
        start, current, previous, _ = entry
        age = now - start
        if age < length:
            return start, current, previous
        return (start + length, 0, current) if age < 2 * length else (now, 0, 0)

    def _store(self, key: str, entry: tuple[float, int, int, int], now: float) -> None:
        entries = self._entries
        entries[key] = entry
        start, _, _, length = entries[next(iter(entries))]
        if now - start >= 2 * length or len(entries) > self._max_keys:
            entries.popitem(last=False)

    # What follows is limits' interface, for its strategy classes.

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, or refuse it."""
        return self.hit(((limit, expiry),), (key,), amount)[0]

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return (previous hits, seconds they still weigh, current hits, seconds until they are gone)."""
        previous, current, left = self.hit(((0, expiry),), (key,), 0)[1][0]
        return previous, left if previous else 0.0, current, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - limits' signature
        """Forget a key."""
        await self.clear(key)

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._entries.pop(key, None)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count without a limit (the fixed window strategy) and return the hits in this window."""
        return self.hit(((sys.maxsize, expiry),), (key,), amount)[1][0][1]

    async def get(self, key: str) -> int:
        """Return the hits in the current window."""
        entry = self._entries.get(key)
        return 0 if entry is None else self._window(key, entry[3], self._clock())[1]

    async def get_expiry(self, key: str) -> float:
        """Return when the current window ends, in seconds since the epoch as limits wants it."""
        entry = self._entries.get(key)
        return time.time() + (0.0 if entry is None else max(0.0, entry[0] + entry[3] - self._clock()))

    async def check(self) -> bool:
        """Return True: memory is always there."""
        return True

    async def reset(self) -> int:
        """Forget all keys and return how many there were."""
        count = len(self._entries)
        self._entries.clear()
        return count

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """The errors of this storage: none."""
        return ()


class SharedStorage(Protocol):
    """What `AsyncLimiter` wants of a store that several processes share."""

    async def hit(self, windows: Sequence[Window], keys: Sequence[str], amount: int) -> Answer:
        """Count ``amount`` hits in all windows or in none, 0 only looks; may raise anything, or hang."""

    async def aclose(self) -> None:
        """Give back what it holds."""


class ClosedSyncStorage(SyncStorage):
    """The store slowapi is given: its synchronous evaluation must not run, and fails loudly if it does."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["closed"]  # type: ignore[misc]  # class-level there too

    def _closed(self, *_args: object, **_options: object) -> NoReturn:
        raise TypeError("slowapi's own evaluation is closed: wrap the route in RateLimit")

    base_exceptions = ()  # none are its own
    incr = get = get_expiry = check = reset = clear = _closed


KEYS_REMEMBERED = 256
"""Callers of one quota whose hashed keys are remembered: some 60 KiB when full."""


class Quota:
    """The limits of one bucket scope, with all that can be computed before a request comes.

    Attributes:
        windows: one per limit.
        limits: slowapi's declarations, in the same order.
        policy: value of ``RateLimit-Policy``.
        keys: returns a key per limit, of bounded length, for a caller, who is in them as a hash only.
    """

    __slots__ = ("_affixes", "_hash", "_names", "_policy", "keys", "limits", "policy", "windows")

    def __init__(self, name: str, limits: Sequence[Limit], hash_key: bytes) -> None:
        items: list[RateLimitItem] = [limit.limit for limit in limits]
        self.limits = tuple(limits)
        self.windows = tuple((item.amount, item.get_expiry()) for item in items)
        self._affixes = [item.key_for("\0").split("\0") for item in items]
        self._hash = blake2b(f"{name}\0".encode(), digest_size=16, key=hash_key)
        self._names = [b'"per-%ds"' % length for _, length in self.windows] if len(items) > 1 else [b'"default"']
        # Callers come again, and hashing one costs more than all the counting.
        self.keys: Callable[[str], Sequence[str]] = lru_cache(maxsize=KEYS_REMEMBERED)(self._keys)
        policies = zip(self._names, self.windows, strict=True)
        self.policy = b", ".join(b"%b;q=%d;w=%d" % (name, limit, length) for name, (limit, length) in policies)
        self._policy: Header = (b"ratelimit-policy", self.policy)

    def _keys(self, caller: str) -> tuple[str, ...]:
        state = self._hash.copy()
        state.update(caller.encode("utf-8", "surrogatepass"))  # a JSON string may hold half a surrogate pair
        digest = state.hexdigest()
        return tuple(f"{before}{digest}{after}" for before, after in self._affixes)

    def headers(self, verdict: Verdict) -> tuple[Header, Header]:
        """Return ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-11)."""
        _, tightest, remaining, reset_after = verdict
        value = b"%b;r=%d;t=%d" % (self._names[tightest], remaining, math.ceil(reset_after))
        return self._policy, (b"ratelimit", value)

    def refusal(self, verdict: Verdict) -> RateLimited:
        """Return the error; its ``Retry-After`` is whole seconds (RFC 9110, 10.2.3), rounded up, never 0."""
        retry_after = (b"retry-after", b"%d" % max(1, math.ceil(verdict.reset_after)))
        limit = self.limits[verdict.tightest]
        return RateLimited(limit, verdict.reset_after, (*self.headers(verdict), retry_after))


class AsyncLimiter(slowapi.Limiter):
    """slowapi's ``Limiter`` for declaring, evaluated without blocking the event loop.

    It reads no ``.env`` and no ``RATELIMIT_*`` variable (one of them would switch limits off), and refuses
    slowapi's decorators: a limit beside a handler would be written by whoever writes the handler, counted
    only after the body has been parsed, and here by nobody.

    Args:
        config: the numbers.
        shared: a store for all processes; without one, each process limits by itself.
        clock: seconds that never go back.
        on_transition: told once per change: the new state (``"ok"`` or ``"degraded"``) and the reason
            (``"recovered"``, or the class name of the error). The place for a log line and a metric.
    """

    def __init__(
        self,
        *,
        config: RateLimitConfig = DEFAULTS,
        shared: SharedStorage | None = None,
        clock: Clock = time.monotonic,
        on_transition: Callable[[str, str], None] | None = None,
    ) -> None:
        with warnings.catch_warnings():
            # starlette.config warns that the null device is no regular file; any other name might be one.
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(str, storage_uri="closed://", storage_options={}, config_filename=os.devnull)
        self._config = config
        self._shared = shared
        self._memory = BoundedMemoryStorage(max_keys=config.max_keys, clock=clock)
        self._clock = clock
        self._on_transition = on_transition
        self._degraded = False
        self._generation = 0  # counts transitions: what was asked before one says nothing after it
        self._since = clock()
        self._retry_at = 0.0

    def get_app_config(self, key: str, default_value: T = None) -> T:  # type: ignore[assignment]  # slowapi's
        """Return the default: configuration comes as arguments only."""
        del key
        return default_value

    def limit(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse slowapi's decorator."""
        raise TypeError("no limits beside a handler: wrap its route in RateLimit(rate=...)")

    shared_limit = limit

    @property
    def is_shared(self) -> bool:
        """Whether counts are shared between processes (while the store is there)."""
        return self._shared is not None

    def declare(self, name: str, rate: str, key: Callable[[Scope], str]) -> Quota:
        """Declare with slowapi the rate of a bucket scope.

        Args:
            name: the scope, e.g. the label of a route; guards that declare the same one share its buckets.
            rate: see `parse_rate`.
            key: what tells callers apart; kept in the declaration.

        Raises:
            InvalidRate: see `parse_rate`.
            ValueError: the name is declared already, at another rate.
        """
        items = parse_rate(rate)
        limits = [Limit(item, key, name, False, None, None, None, 1, True) for item in items]
        known: list[Limit] = self._route_limits.setdefault(name, limits)
        if [limit.limit for limit in known] != list(items):
            raise ValueError(f"rate limit {name!r} is declared twice, at different rates")
        return Quota(name, known, self._config.hash_key)

    def hit_local(self, quota: Quota, caller: str) -> Verdict:
        """Count a hit in this process only, without waiting."""
        windows, keys = quota.windows, quota.keys(caller)
        if len(windows) == 1:
            return self._memory.hit_one(windows[0], keys[0])
        return decide(windows, self._memory.hit(windows, keys))

    async def hit(self, quota: Quota, caller: str, amount: int = 1) -> Verdict:
        """Count ``amount`` hits of a caller, all or none; 0 only looks. No store makes it raise."""
        keys = quota.keys(caller)
        if self._shared is not None and self._may_ask():
            answer = await self._ask(self._shared, quota.windows, keys, amount)
            if answer is not None:
                return decide(quota.windows, answer)
        return self._hit_memory(quota.windows, keys, amount)

    def _hit_memory(self, windows: Sequence[Window], keys: Sequence[str], amount: int) -> Verdict:
        if len(windows) == 1:
            return self._memory.hit_one(windows[0], keys[0], amount)
        return decide(windows, self._memory.hit(windows, keys, amount))

    def state(self) -> dict[str, str | float]:
        """Return ``{"state": "ok" | "degraded", "since_seconds": ...}`` for a readiness answer."""
        state = "degraded" if self._degraded else "ok"
        return {"state": state, "since_seconds": round(self._clock() - self._since, 1)}

    async def aclose(self) -> None:
        """Close the shared store; what does not close in time ends with the process."""
        if self._shared is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.retry_interval):
                    await self._shared.aclose()

    def _may_ask(self) -> bool:
        if not self._degraded:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        # Claimed for a whole interval: one request looks, and if it is cancelled nothing stays wedged.
        self._retry_at = now + self._config.retry_interval
        return True

    async def _ask(
        self, shared: SharedStorage, windows: Sequence[Window], keys: Sequence[str], amount: int
    ) -> Answer | None:
        generation = self._generation
        try:
            async with asyncio.timeout(self._config.timeout):
                answer = await shared.hit(windows, keys, amount)
        except Exception as error:  # noqa: BLE001 - a store must not fail a request; the state tells of it
            if generation == self._generation and not self._degraded:
                self._turn(type(error).__name__, degraded=True)
            return None
        if generation == self._generation and self._degraded:
            self._turn("recovered", degraded=False)
        return answer

    def _turn(self, reason: str, *, degraded: bool) -> None:
        self._degraded = degraded
        self._generation += 1
        self._since = self._clock()
        self._retry_at = self._since + self._config.retry_interval
        if self._on_transition is not None:
            self._on_transition("degraded" if degraded else "ok", reason)


async def refuse_with_problem(scope: Scope, receive: Receive, send: Send, error: RateLimited) -> None:
    """Answer 429 with minimal problem details (RFC 9457)."""
    del receive
    scope.setdefault("state", {})["code"] = error.code
    body = b'{"type":"about:blank","title":"Too Many Requests","status":429,"code":"rate_limited"}'
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    headers += error.header_list
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RateLimit:
    """Guard of one route: a rate per caller, told in the headers of every response.

    Args:
        app: the guarded ASGI application.
        limiter: where hits are counted.
        rate: see `parse_rate`.
        name: label of the route and scope of its buckets, e.g. ``"POST /v1/orders"``.
        key: the caller of a request; hashed before it is stored.
        refuse: answers a refused request.

    Raises:
        InvalidRate: see `parse_rate`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: AsyncLimiter,
        rate: str,
        name: str,
        key: Callable[[Scope], str],
        refuse: Refuse | None = None,
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._waits = limiter.is_shared
        self._quota = limiter.declare(name, rate, key)
        self._key = key
        self._refuse = refuse or refuse_with_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        quota, caller = self._quota, self._key(scope)
        verdict = await self._limiter.hit(quota, caller) if self._waits else self._limiter.hit_local(quota, caller)
        if not verdict.allowed:
            await self._refuse(scope, receive, send, quota.refusal(verdict))
            return

        def send_with_headers(message: Message) -> Awaitable[None]:  # no coroutine of its own: it costs as much again
            if message["type"] == "http.response.start":
                # A new list: the old one may belong to a response object that is sent more than once.
                message["headers"] = [*message.get("headers", ()), *quota.headers(verdict)]
            return send(message)

        await self._app(scope, receive, send_with_headers)


def address_block(address: str) -> str:
    """Return what an address is counted under: an IPv4 address itself, an IPv6 address' /64.

    A /64 is what one host or home network is given (RFC 4291, 2.5.1; RFC 6177), all 2^64 addresses of it,
    and going through them costs nothing.
    """
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return address
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return packed[:8].hex()


class FloodLimit:
    """Guard of the whole service: a rate per client address, before anything that costs more.

    Args:
        app: the guarded ASGI application.
        limiter: one of its own and in memory: a flood must neither reach Redis nor evict callers' keys.
        rate: see `parse_rate`.
        client: the address of a request.
        exempt: paths that are not counted, such as health checks.
        refuse: answers a refused request.

    Raises:
        InvalidRate: see `parse_rate`.
        ValueError: the limiter has a shared store.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: AsyncLimiter,
        rate: str,
        client: Callable[[Scope], str],
        exempt: frozenset[str] = frozenset(),
        refuse: Refuse | None = None,
    ) -> None:
        if limiter.is_shared:
            raise ValueError("the flood limit wants a limiter in memory, of its own")
        self._app = app
        self._limiter = limiter
        self._quota = limiter.declare("flood", rate, client)
        self._client = client
        self._exempt = exempt
        self._refuse = refuse or refuse_with_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or refuse it."""
        if scope["type"] == "http" and scope["path"] not in self._exempt:
            verdict = self._limiter.hit_local(self._quota, address_block(self._client(scope)))
            if not verdict.allowed:
                await self._refuse(scope, receive, send, self._quota.refusal(verdict))
                return
        await self._app(scope, receive, send)


class FailedAttempts:
    """A rate of failures per client address, against the guessing of tokens and passwords.

    Attempts in flight at the same moment all pass before the first has failed: the bound is the rate plus
    what one client can have in flight.

    Args:
        limiter: where failures are counted. Each look is a round trip with a shared store and microseconds
            in memory, where N processes allow N times the rate: whoever asks should do so only about
            credentials not known to be good.
        rate: see `parse_rate`.
        client: the address of a request.

    Raises:
        InvalidRate: see `parse_rate`.
    """

    def __init__(self, limiter: AsyncLimiter, rate: str, client: Callable[[Scope], str]) -> None:
        self._limiter = limiter
        self._quota = limiter.declare("failed-attempts", rate, client)
        self._client = client

    async def blocked(self, scope: Scope) -> float | None:
        """Return the seconds until this client may try again, or None if it may now; counts nothing."""
        verdict = await self._limiter.hit(self._quota, address_block(self._client(scope)), 0)
        return None if verdict.remaining else verdict.reset_after

    async def failed(self, scope: Scope) -> None:
        """Count a failed attempt."""
        await self._limiter.hit(self._quota, address_block(self._client(scope)))

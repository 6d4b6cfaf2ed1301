"""Load shedding: when more comes than can be served, most of what can be served still is, and the rest is told at once.

Threat: a service at three times its capacity takes everything in, each request waits behind all others, every one of
them ends after its caller has given up, and the work done is a full day's for nobody. And the cure's own: a fixed bound
that is wrong on every machine but one; a queue whose entries have expired before their turn; probes that are shed, so
that the orchestrator restarts what was merely busy; one slow dependency that is taken for overload.

What it does: so many requests run at a time, ``limit``, which is found while serving. It is Gradient2 of Netflix's
concurrency-limits: the latency of now is compared with the latency of long; where it is more than ``tolerance`` times
that, the limit falls, else it grows by the square root of itself. Two differences: a latency is compared with others of
the same route only, so that a cheap and a dear route can share a limit; and of the requests that ended in a window
the lower quartile counts, because overload makes every request slow, and a dependency only those that need it.

That sees what waits for something else. What computes on the event loop runs one after the other, and never at a time:
there the loop is looked at. Where its timer has been late by ``lag`` for a whole window, requests take turns, and one
that has waited for its own longer than ``sojourn`` since it was read, or would, is turned away: CoDel's numbers. One
block or one burst makes one look late, and nobody is turned away for it. Between two turns the loop looks at its
sockets, so that a refusal waits for the one that computes, and not for all that have been read. (What a request waited
before it came here the server has to say: ``arrived``.)

Who finds no place waits in a queue, known callers before others and in order of arrival, for ``max_wait`` or what its
deadline leaves, and then hears 503 with Retry-After. Where the queue is full a known caller takes the place of the
youngest other. Unknown callers may fill ``unknown_share`` of the limit, known ones all of it.

Defaults: 50 at the start, 20 to 1,000 (requests that wait for a database cost little; what cost much are shed within
a second or two); tolerance 1.5; a window of 100 ms, or longer until
it has ten requests; a queue of 100 entries for 50 ms: what waits longer adds to a latency that is past help. A
``slack`` of 20 ms is no sign of overload: beside one millisecond a pause of the garbage collector is a multiple.

What it does not do: tell who is known (``is_known`` does, and must not cost a signature), bound a single caller (a rate
limit's work) or route (a bulkhead's), or count what streams: an answer that has begun gives its place back, so that
a stream of an hour is not an hour of latency.

To lift it: needs ``starlette`` for its types only. ``app = LoadShedding(app, exempt={"/livez"})``, outside of what
costs; ``limit``, ``in_flight`` and ``queued`` are for a gauge.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLIENT_ERROR, _SERVER_ERROR, _UNAVAILABLE = 400, 500, 503

MAX_ROUTES: Final = 2000
"""Routes whose latencies are remembered; the one that was not seen for longest is forgotten."""

IDLE_LEARNS: Final = 10
"""Times faster that the usual latency is learnt while there is room: what is seen under load is partly the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSheddingConfig:
    """How the limit is found, and who waits.

    Attributes:
        initial: requests at a time, to begin with.
        least: that many always run.
        most: more are never let in.
        tolerance: times the usual latency that is still well (Gradient2: 1.5).
        smoothing: share of a new limit in the next one, where it is higher (Gradient2: 0.2).
        falls: the same where it is lower: what is too much is let in for a second and not for three.
        slack: seconds over the usual latency that say nothing.
        window: seconds of requests that are judged together.
        samples: requests that a window has at least.
        long: windows over which the usual latency of a route is a mean: ten minutes of them (as Gradient2 has it).
        queue: requests that may wait.
        max_wait: seconds that a request waits at most.
        lag: seconds that the loop's timer is late, again and again for a window, where it is overloaded.
        sojourn: seconds that a request may then wait for its turn since it was read; twice that for known callers.
        unknown_share: of the limit that requests of unknown callers may fill.
        retry_after: seconds after which to try again, for who is turned away.
    """

    initial: int = 50
    least: int = 20
    most: int = 1000
    tolerance: float = 1.5
    smoothing: float = 0.2
    falls: float = 0.5
    slack: float = 0.02
    window: float = 0.1
    samples: int = 10
    long: int = 6000
    queue: int = 100
    max_wait: float = 0.05
    lag: float = 0.005
    sojourn: float = 0.02
    unknown_share: float = 0.8
    retry_after: float = 1.0


class Overloaded(Exception):
    """There is no place for this request; nothing was done.

    Attributes:
        reason: ``queue_full``, ``waited`` (no place came in time), ``pushed_out`` (by a known caller), or ``late`` (the
            loop has more to do than it can, and this request's turn would come too late, or did).
        retry_after: seconds after which to try again.
    """

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Gradient:
    """Finds how many requests may run at a time. Told of each that ended; belongs to one event loop.

    Args:
        config: see there.
        clock: seconds, monotonic.

    Raises:
        ValueError: the bounds contradict each other.

    Attributes:
        limit: requests at a time.
    """

    def __init__(self, config: LoadSheddingConfig, clock: Callable[[], float] = time.monotonic) -> None:
        if not 1 <= config.least <= config.initial <= config.most:
            raise ValueError("1 <= least <= initial <= most must hold")
        if not (config.tolerance >= 1 and 0 < config.smoothing <= 1 and config.long >= 1 and config.samples >= 1):
            raise ValueError("tolerance and samples are at least 1, smoothing is above 0 and at most 1")
        self.limit = float(config.initial)
        self._config, self._clock = config, clock
        self._usual: OrderedDict[str, float] = OrderedDict()
        self._window: dict[str, list[float]] = {}
        self._count = self._busiest = 0
        self._began = clock()

    def ended(self, route: str, seconds: float, in_flight: int) -> None:
        """Note that a request of ``route`` took ``seconds``, while ``in_flight`` ran, itself among them."""
        latencies = self._window.get(route)
        if latencies is None:
            latencies = self._window[route] = []
        latencies.append(seconds)
        self._count += 1
        if in_flight > self._busiest:  # noqa: PLR1730 - a comparison costs a quarter of max()
            self._busiest = in_flight
        if self._count >= self._config.samples:
            now = self._clock()
            if now - self._began >= self._config.window:
                self._judge()
                self._window.clear()
                self._count = self._busiest = 0
                self._began = now

    def _judge(self) -> None:
        """Compare the latencies of a window with the usual ones, and set the limit by the lower quartile of that."""
        config = self._config
        busy = self._busiest >= self.limit / 2
        ratios: list[float] = []
        for route, latencies in self._window.items():
            seen = _lower_quartile(latencies)
            usual = self._usual.get(route) or seen
            if busy:
                ratios += [max(seconds - config.slack, 0.0) / max(usual, 1e-6) for seconds in latencies]
            self._learn(route, usual, seen, busy=busy)
        if not busy:
            return  # the limit limits nothing: latencies say nothing about it
        ratio = _lower_quartile(ratios)
        gradient = max(0.5, min(1.0, config.tolerance / ratio)) if ratio else 1.0
        wanted = self.limit * gradient + math.sqrt(self.limit)
        smoothing = config.smoothing if wanted > self.limit else config.falls
        limit = self.limit * (1 - smoothing) + wanted * smoothing
        self.limit = max(config.least, min(config.most, limit))

    def _learn(self, route: str, usual: float, seen: float, *, busy: bool) -> None:
        """Move the usual latency of a route towards what was seen."""
        weight = 2 / (self._config.long + 1)
        if not busy:
            weight = min(1.0, weight * IDLE_LEARNS)
        usual += (seen - usual) * weight
        # Gradient2: where the usual is far over what is seen, it is a memory of a bad time, and is let go faster.
        self._usual[route] = usual * 0.95 if usual > 2 * seen else usual
        self._usual.move_to_end(route)
        if len(self._usual) > MAX_ROUTES:
            self._usual.popitem(last=False)


def _lower_quartile(values: list[float]) -> float:
    return sorted(values)[len(values) // 4]


TICKS: Final = 5
"""Looks at the loop's timer in a window."""

LATE: Final = 2
"""Looks in a row that have to be late, for a loop to be overloaded: after one block the next is in time."""

IN_TIME: Final = 3
"""Looks in a row that have to be in time, for it not to be any more: under a steady load some are by chance."""


class LoopLag:
    """Tells whether the running event loop has more to do than it can. Looks only while there are requests.

    Args:
        config: ``lag`` and ``window``.
        clock: seconds, monotonic.
    """

    def __init__(self, config: LoadSheddingConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._lag, self._window, self._interval = config.lag, config.window, config.window / TICKS
        self._clock = clock
        self._expected: float | None = None
        self._requests = self._late = self._in_time = 0
        self._since = 0.0

    def request(self) -> bool:
        """Note a request, and tell whether the loop is overloaded."""
        self._requests += 1
        if self._expected is None:
            self._arm(self._clock())
        return self._late >= LATE and self.overloaded

    def _arm(self, now: float) -> None:
        self._expected = now + self._interval
        asyncio.get_running_loop().call_later(self._interval, self.tick)

    def tick(self) -> None:
        """Note whether the timer is late; go on as long as there are requests."""
        now = self._clock()
        if self._expected is not None and now - self._expected > self._lag:
            if not self._late:
                self._since = now
            self._late, self._in_time = self._late + 1, 0
        else:
            self._in_time += 1
            if self._in_time >= IN_TIME:
                self._late = 0
        if self._requests:
            self._requests = 0
            self._arm(now)
        else:
            self._expected, self._late = None, 0

    @property
    def overloaded(self) -> bool:
        """True where the timer has been late for a window, at each look."""
        return self._late >= LATE and self._clock() - self._since >= self._window


TURN: Final = 0.002
"""Seconds that requests compute, on an overloaded loop, before it looks at its sockets again; one always does."""

PACE_LEARNS: Final = 0.2
"""Share of what the last turns took in what a turn is expected to take."""


class Turns:
    """Has requests begin one after the other, and the loop look at its sockets in between. Belongs to one event loop.

    Without it, all that were read in one look compute before the loop looks again, and whoever is to be turned away
    hears of it after them.

    Args:
        config: ``window``.
        clock: seconds, monotonic.

    Attributes:
        pace: seconds that a turn takes, of late.
    """

    def __init__(self, config: LoadSheddingConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = 0.0
        self._window, self._clock = config.window, clock
        self._known: deque[asyncio.Future[None]] = deque()
        self._unknown: deque[asyncio.Future[None]] = deque()
        self._taken = self._running = False
        self._crowded = self._began = 0.0
        self._at_once = self._due = 0

    @property
    def waiting(self) -> int:
        """Number of requests that wait for their turn."""
        return len(self._known) + len(self._unknown)

    @property
    def taken(self) -> bool:
        """True while turns are to be taken: until nobody has waited behind another for a window."""
        if self._taken and not self._running and self._clock() - self._crowded > self._window:
            self._taken = False
        return self._taken

    @property
    def idle(self) -> bool:
        """True while nobody has a turn or waits for one."""
        return not self._running

    def expected(self, *, known: bool) -> float:
        """Return the seconds that a caller who comes now would wait. Known callers go first."""
        return (self._due + (len(self._known) if known else self.waiting)) * self.pace

    async def take(self, *, known: bool) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        (self._known if known else self._unknown).append(turn)
        if not self._taken:
            self._taken, self._crowded = True, self._clock()
        if not self._running:
            self._running, self._at_once = True, 0
            loop.call_soon(self._begin)
        await turn

    def _begin(self) -> None:
        """Note what the last turns took, and let the next ones begin."""
        now = self._clock()
        if self._at_once:
            took = (now - self._began) / self._at_once
            self.pace += (took - self.pace) * (PACE_LEARNS if self.pace else 1.0)
            if self.waiting:
                self._crowded = now
        self._at_once, self._began = 0, now
        most = max(1, int(TURN / self.pace)) if self.pace else 1
        while self._at_once < most and (queue := self._known or self._unknown):
            turn = queue.popleft()
            if not turn.done():  # who has left may not have been able to leave the queue yet
                turn.set_result(None)
                self._at_once += 1
        self._due = self._at_once
        self._running = self._at_once > 0
        if self._running:
            # They compute in the loop's next round, and _look ends it. Then the loop looks, the next round begins with
            # _begin and turns away who is too many, and those whose turn it is compute in the round after that.
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._due = 0
        asyncio.get_running_loop().call_soon(self._begin)


class _Waiting:
    """A request in the queue."""

    __slots__ = ("known", "turn")

    def __init__(self, turn: asyncio.Future[str], *, known: bool) -> None:
        self.turn = turn
        self.known = known


class LoadShedding:
    """Lets in what can be served. Belongs to one event loop.

    Args:
        app: the ASGI application behind it.
        config: how the limit is found, and who waits.
        gradient: finds the limit, where others want to know it too; one of its own by default.
        exempt: paths that are always let in, and not counted: probes.
        is_known: tells a caller who was verified before from one who was not; everybody is unknown by default.
        route: names what a request was, once it ended; latencies are compared by it.
        remaining: seconds that the caller of a request still waits, None if it does not say.
        arrived: when a request was read, by ``clock``; None if the server does not say, and it counts from here.
        clock: seconds, monotonic.
        refuse: answers who is turned away; default is a bare problem document.

    Attributes:
        gradient: has the limit.
        in_flight: requests that run.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: LoadSheddingConfig | None = None,
        gradient: Gradient | None = None,
        exempt: frozenset[str] = frozenset(),
        is_known: Callable[[Scope], bool] = lambda _scope: False,
        route: Callable[[Scope], str] | None = None,
        remaining: Callable[[Scope], float | None] = lambda _scope: None,
        arrived: Callable[[Scope], float | None] = lambda _scope: None,
        clock: Callable[[], float] = time.monotonic,
        refuse: Callable[[Scope, Receive, Send, Overloaded], Awaitable[None]] | None = None,
    ) -> None:
        self.app = app
        self.config = config or LoadSheddingConfig()
        self.gradient = gradient or Gradient(self.config, clock)
        self.in_flight = 0
        self._exempt, self._is_known, self._clock = exempt, is_known, clock
        self._route, self._remaining, self._refuse = route or _template, remaining, refuse or _refuse
        self._arrived = arrived
        self.loop_lag = LoopLag(self.config, clock)
        self.turns = Turns(self.config, clock)
        self._known: deque[_Waiting] = deque()
        self._unknown: deque[_Waiting] = deque()

    @property
    def queued(self) -> int:
        """Number of requests that wait."""
        return len(self._known) + len(self._unknown) + self.turns.waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, now or when there is a place, or turn the request away."""
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self.app(scope, receive, send)
            return
        if self.loop_lag.request() or self.turns.taken:
            try:
                await self._take_turn(scope)
            except Overloaded as error:
                await self._refuse(scope, receive, send, error)
                return
        in_flight, limit = self.in_flight, self.gradient.limit
        if in_flight < limit * self.config.unknown_share or (in_flight < limit and self._is_known(scope)):
            self.in_flight = in_flight + 1
        else:
            try:
                await self._wait(scope)
            except Overloaded as error:
                await self._refuse(scope, receive, send, error)
                return
        place = _Place(self, scope, send, self._clock)
        try:
            await self.app(scope, receive, place.answer)
        finally:
            place.give_back()

    async def _take_turn(self, scope: Scope) -> None:
        """Wait for a turn on the loop, which is this request's when this returns.

        Raises:
            Overloaded: it would come too late, or did.
        """
        arrived, known = self._arrived(scope), self._is_known(scope)
        if arrived is None:
            arrived = self._clock()
        latest = arrived + self.config.sojourn * (2 if known else 1)
        alone = self.turns.idle  # then to turn it away would help nobody: CoDel never drops the last packet either
        if alone or self._clock() + self.turns.expected(known=known) <= latest:
            await self.turns.take(known=known)
            if alone or self._clock() <= latest:
                return
        raise Overloaded("late", self.config.retry_after)

    async def _wait(self, scope: Scope) -> None:
        """Wait for a place, which is this request's when this returns.

        Raises:
            Overloaded: there is none, or none in time.
        """
        known = self._is_known(scope)
        patience = self.config.max_wait
        left = self._remaining(scope)
        if left is not None and left < patience:
            patience = left
        if len(self._known) + len(self._unknown) >= self.config.queue and not (known and self._push_out()):
            raise Overloaded("queue_full", self.config.retry_after)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), known=known)
        queue = self._known if known else self._unknown
        queue.append(waiting)
        try:
            async with asyncio.timeout(patience):
                outcome = await waiting.turn
        except BaseException as error:
            if waiting.turn.done() and not waiting.turn.cancelled() and waiting.turn.result() == "place":
                self._leave()  # the place came in the same moment: it goes on to the next
            elif waiting in queue:
                queue.remove(waiting)
            if isinstance(error, TimeoutError):
                raise Overloaded("waited", self.config.retry_after) from None
            raise
        if outcome != "place":
            raise Overloaded(outcome, self.config.retry_after)

    def _push_out(self) -> bool:
        """Turn the youngest unknown caller in the queue away; tell whether there was one."""
        queue = self._unknown
        while queue:
            waiting = queue.pop()
            if not waiting.turn.done():
                waiting.turn.set_result("pushed_out")
                return True
        return False

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Note that a request's answer has begun, or that it ended without one."""
        if not _CLIENT_ERROR <= status < _SERVER_ERROR and status != _UNAVAILABLE:
            # A refusal costs nothing and takes no time: it would make every other answer slow.
            self.gradient.ended(self._route(scope), seconds, self.in_flight)
        self._leave()

    def _leave(self) -> None:
        """Give a place to who waits for it, or back."""
        self.in_flight -= 1
        known, unknown = self._known, self._unknown
        while (known or unknown) and self.in_flight < self.gradient.limit:
            if known:
                waiting = known.popleft()
            elif self.in_flight < self.gradient.limit * self.config.unknown_share:
                waiting = unknown.popleft()
            else:
                return
            if not waiting.turn.done():  # who has left may not have been able to leave the queue yet
                self.in_flight += 1
                waiting.turn.set_result("place")


class _Place:
    """The place of one request, from when it is let in until its answer begins."""

    __slots__ = ("_clock", "_given", "_scope", "_send", "_shedding", "_started", "_status")

    def __init__(self, shedding: LoadShedding, scope: Scope, send: Send, clock: Callable[[], float]) -> None:
        self._shedding, self._scope, self._send, self._clock = shedding, scope, send, clock
        self._given, self._status, self._started = False, 0, clock()

    def answer(self, message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif not self._given and message["type"] == "http.response.body":
            self.give_back()
        return self._send(message)

    def give_back(self) -> None:
        if not self._given:
            self._given = True
            self._shedding.ended(self._scope, self._status, self._clock() - self._started)


def _template(scope: Scope) -> str:
    """Return the method and the path template of the route that matched, as Starlette and FastAPI leave it."""
    return f"{scope['method']} {getattr(scope.get('route'), 'path_format', 'unmatched')}"


async def _refuse(_scope: Scope, _receive: Receive, send: Send, error: Overloaded) -> None:
    body = b'{"type":"about:blank","title":"Service Unavailable","status":503,"code":"overloaded"}'
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})

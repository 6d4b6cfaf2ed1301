"""The long-lived parts of one process, made from its settings: everything that several routes share.

Part of the composition root, like :mod:`app.main`: patterns meet here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import structlog

from app.background import Background
from app.database import Database
from app.errors import RULES
from app.health import Check, Health
from app.ops import Operations
from app.patterns.authentication import AuthenticationConfig, KeySource, TokenVerifier
from app.patterns.client_address import ClientAddress
from app.patterns.containment import KINDS
from app.patterns.development_issuer import DevelopmentIssuer, KeyFileError
from app.patterns.graceful_shutdown import Lifecycle
from app.patterns.guarded_http import HttpGuard
from app.patterns.load_shedding import Gradient, LoadShedding, LoadSheddingConfig
from app.patterns.loop_watchdog import Block, LoopWatchdog
from app.patterns.memory_limit import Memory, MemoryLimit, MemoryLimitConfig, container_limit, read_memory
from app.patterns.metrics import EventCounter, observe_states
from app.patterns.problem_details import Problem, ProblemDetails
from app.patterns.process_locks import ProcessLocks
from app.patterns.rate_limit import AsyncLimiter, FailedAttempts, InvalidRate, RateLimitConfig, parse_rate
from app.patterns.redaction import Redactor
from app.patterns.structured_logging import Logging, LoggingConfig, configure_logging
from app.patterns.telemetry_export import Telemetry, TelemetryConfig, configure_telemetry
from app.patterns.thread_pool import ThreadPool, ThreadPoolConfig
from app.patterns.tracing import RequestIds, RequestSampler, note_exception
from app.settings import BootRefused, Settings
from app.simulators.in_process import InProcessSimulator
from app.stages import Stages, make_control
from app.upstreams import DECLARED, Fallbacks, Upstreams, UpstreamTelemetry

if TYPE_CHECKING:
    from starlette.types import Scope

    from app.patterns.containment import ContainmentError

KEY_REFRESH_SECONDS = 60.0
"""Between two looks at the age of the issuer's keys, so that readiness does not hang on somebody's request."""

TELEMETRY_SHUTDOWN_SECONDS = 2.0
"""For the last spans and metrics to leave; a dead collector may not hold up the end."""

BEGIN_AGAIN_SECONDS = 5.0
"""Before a background loop that failed begins again: what it lacked (a thread, memory, a file) may be there then."""

FAILED_LATELY_SECONDS = 60.0
"""For which a failure stays in the readiness report: as long as it takes to be seen, and to be collected once."""

SHARE_OF_CONTAINER = 0.9
"""Of a container's memory, for the processes that serve in it; the rest is for the supervisor, and files in memory."""

MIB = 2**20

MAX_ARGUMENT = 200
"""Characters of what a handler was kept from, in the log: a path, a host, the beginning of a command."""

MENDS = {
    "file_read": 'if people agree: files = { read = ["FOLDER"] } in its entry of policy.toml',
    "file_write": 'if people agree: files = { write = ["FOLDER"] } in its entry of policy.toml',
    "socket": "declare the service in app/upstreams, and name it in outbound in its entry of policy.toml",
    "sql": "pass what the client sent as a parameter: text('... WHERE name = :name'), {'name': name}",
}
"""What to do where a handler was kept from what it may need."""


@dataclass(frozen=True)
class Components:
    """What the edge and the guards are wired to.

    Attributes:
        settings: of this process.
        lifecycle: the phase that the server is in.
        redactor: takes secrets and personal data out of text.
        logging: the configured logging; None where a test configures its own.
        problems: renders every error.
        telemetry: tracer, meter, and the way out for both.
        refusals: counts refusals by code.
        contained: told of what a handler was kept from.
        threads: where synchronous handlers run.
        gradient: finds how many requests may run at a time.
        stages: what each route has earned.
        operations: what the operator's page shows.
        loads: the load shedding of the edge, once it is composed.
        locks: names that are held by one request of all workers at a time.
        limiter: rates per caller, shared by Redis where there is one.
        flood_limiter: rates per address, always in this process.
        attempts: bounds failed authentications per address.
        client: address of the client of a request.
        verifier: judges tokens.
        database: sessions for requests.
        upstreams: the services that this one calls.
        fallbacks: what stands in when one of them is away.
        outbox: work that is done after the answer.
        health: the report of /readyz.
        closing: what the end of the process closes, in order.
        background: loops that run as long as the process serves.
        failed: loops that failed, and when (seconds, monotonic).
    """

    settings: Settings
    lifecycle: Lifecycle
    redactor: Redactor
    logging: Logging
    problems: ProblemDetails
    telemetry: Telemetry
    refusals: EventCounter
    contained: Callable[[ContainmentError], None]
    threads: ThreadPool
    gradient: Gradient
    stages: Stages
    operations: Operations
    loads: list[LoadShedding]
    locks: ProcessLocks
    limiter: AsyncLimiter
    flood_limiter: AsyncLimiter
    attempts: FailedAttempts
    client: ClientAddress
    verifier: TokenVerifier
    database: Database
    upstreams: Upstreams
    fallbacks: Fallbacks
    outbox: Background
    health: Health
    failed: dict[str, float]
    background: tuple[Callable[[], Any], ...] = ()
    closing: tuple[Callable[[], Any], ...] = field(default=())


def build_components(
    settings: Settings,
    lifecycle: Lifecycle | None = None,
    http_guard: HttpGuard | None = None,
    locks: ProcessLocks | None = None,
) -> Components:
    """Make the parts of one process; nothing is connected to yet.

    Args:
        settings: of this process.
        lifecycle: the phase of the server that runs it; a new one by default.
        http_guard: the server's own guard, whose refusals are counted with the others.
        locks: what the workers share; by default this process is alone.

    Raises:
        BootRefused: a part cannot be made from these settings.
    """
    lifecycle = lifecycle or Lifecycle()
    http_guard = http_guard or HttpGuard()
    redactor = Redactor()
    logging = start_logging(settings, redactor)
    log = structlog.get_logger("app")
    telemetry = _telemetry(settings, redactor)
    refusals = EventCounter(
        telemetry.meter, "breakwater.refusals", label="code", unit="{request}", description="Requests refused, by code."
    )

    http_guard.on_refusal = refusals.add

    def refused(scope: Scope, problem: Problem) -> None:
        refusals.add(problem.code)
        if settings.ops:
            template = getattr(scope.get("route"), "path_format", "unmatched")
            request_id = str(scope["state"].get("request_id"))
            route = f"{scope['method']} {template}"
            operations.refused(code=problem.code, status=problem.status, route=route, request_id=request_id)

    def unhandled(scope: Scope, error: BaseException) -> None:
        note_exception(scope, error)  # the span of this request is ended by the edge, which sees only a 500
        template = getattr(scope.get("route"), "path_format", "unmatched")
        log.error("unhandled_exception", route=template, exc_info=error)

    gradient = _gradient(settings.max_in_flight)
    stages = Stages(make_control(settings), log, partial(attrgetter("limit"), gradient))
    observe_states(
        telemetry.meter,
        "breakwater.routes.quarantined",
        label="route",
        read=stages.states,
        description="1 where a route is out of service.",
    )
    contained = _containment(telemetry, redactor, log, stages.strike)
    database = Database(settings, lambda what, facts: log.info(what, **facts))
    limiter, flood_limiter = _limiters(settings, log)
    client = ClientAddress(settings.trusted_proxies)
    keys, checks, background, closing = _keys(settings, log)
    checks["database"] = database.state
    payments = InProcessSimulator(lambda: log.warning("simulated", upstream="payments"))
    upstreams, fallbacks = _upstreams(settings, telemetry, log, {"payments": payments.url})
    checks |= upstreams.checks()
    outbox = _outbox(database, upstreams, telemetry, log, contained)
    checks["outbox"] = outbox.check
    if limiter.is_shared:
        checks["rate_limit_store"] = limiter.state
    observe_states(
        telemetry.meter,
        "breakwater.degraded",
        label="component",
        read=lambda: {name: float(check().get("state") != "ok") for name, check in checks.items()},
        description="1 where a part works in a degraded mode.",
    )
    watchdog = _watchdog(telemetry, log)
    failed: dict[str, float] = {}
    checks |= {
        "routes": stages.check, "event_loop": watchdog_check(watchdog), "background": background_check(failed)
    }  # fmt: skip
    memory = _memory(settings, lifecycle, log)
    if memory is not None:
        checks["memory"] = memory_check(memory)
    threads = ThreadPool(ThreadPoolConfig(threads=settings.threads, per_key=max(1, settings.threads // 4)))
    loads: list[LoadShedding] = []

    def load() -> Mapping[str, float]:
        in_flight, queued = sum(each.in_flight for each in loads), sum(each.queued for each in loads)
        return {"limit": gradient.limit, "in_flight": float(in_flight), "queued": float(queued)}

    _observe_process(telemetry, http_guard, threads, load)
    operations = Operations(settings.service_name, stages, upstreams, checks=checks, load=load)
    accepted = AuthenticationConfig(issuer=settings.issuer, audience=settings.audience)
    return Components(
        settings=settings,
        lifecycle=lifecycle,
        redactor=redactor,
        logging=logging,
        problems=ProblemDetails(RULES, on_problem=refused, on_unhandled=unhandled),
        telemetry=telemetry,
        refusals=refusals,
        contained=contained,
        threads=threads,
        gradient=gradient,
        stages=stages,
        operations=operations,
        loads=loads,
        locks=locks or ProcessLocks(),
        limiter=limiter,
        flood_limiter=flood_limiter,
        # In memory it counts on its own, so that made-up addresses cannot push callers' counts out.
        attempts=FailedAttempts(
            limiter if limiter.is_shared else AsyncLimiter(), settings.failed_authentication_rate, client
        ),
        client=client,
        verifier=TokenVerifier(accepted, keys),
        database=database,
        upstreams=upstreams,
        fallbacks=fallbacks,
        outbox=outbox,
        health=Health(phase=lambda: lifecycle.phase, checks=checks),
        failed=failed,
        background=(
            *background,
            database.watch,
            database.reap_answers,
            outbox.watch,
            payments.serve,
            watchdog.run,
            *((memory.run,) if memory is not None else ()),
            stages.watch,
            *((operations.watch,) if settings.ops else ()),
            *((outbox.work,) if settings.works else ()),
        ),
        closing=(
            database.aclose,
            upstreams.aclose,
            stages.control.aclose,
            *closing,
            limiter.aclose,
            flood_limiter.aclose,
        ),
    )


def _gradient(most: int) -> Gradient:
    """Return what finds how many requests may run, between bounds that fit the one that was set."""
    usual = LoadSheddingConfig()
    return Gradient(replace(usual, most=most, initial=min(usual.initial, most), least=min(usual.least, most)))


def _observe_process(
    telemetry: Telemetry, http_guard: HttpGuard, threads: ThreadPool, load: Callable[[], Mapping[str, float]]
) -> None:
    """Export what this process holds: connections, threads, requests."""
    observe_states(
        telemetry.meter,
        "breakwater.connections",
        label="state",
        read=lambda: {"open": float(http_guard.open_connections)},
        unit="{connection}",
        description="Connections of this process.",
    )
    observe_states(
        telemetry.meter,
        "breakwater.threads",
        label="state",
        read=lambda: {"running": float(threads.running), "waiting": float(threads.waiting)},
        unit="{call}",
        description="Synchronous handlers that run, and that wait for a thread.",
    )
    observe_states(
        telemetry.meter,
        "breakwater.load",
        label="state",
        read=load,
        unit="{request}",
        description="Requests that run, that wait, and how many may run.",
    )
    observe_states(
        telemetry.meter,
        "breakwater.memory",
        label="state",
        read=lambda: {"resident": float(memory.resident)} if (memory := read_memory()) is not None else {},
        unit="By",
        description="Memory of this process.",
    )


@contextlib.asynccontextmanager
async def running(components: Components, *more: Callable[[], Any]) -> AsyncIterator[None]:
    """Connect to the database, run the background loops (and ``more`` of them), and close everything at the end.

    Raises:
        BootRefused: the database is not what this code needs.
    """
    await components.database.start()
    log = structlog.get_logger("app")
    loops = (*components.background, *more)
    tasks = [asyncio.create_task(keep_running(loop, components.failed, log)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in components.closing:
            await close()
        await asyncio.to_thread(components.telemetry.shutdown, TELEMETRY_SHUTDOWN_SECONDS)
        components.logging.writer.flush()


async def keep_running(
    loop: Callable[[], Coroutine[Any, Any, None]],
    failed: dict[str, float],
    log: Any,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run a background loop, and begin it again after a failure: what nobody waits for must not end unheard.

    Args:
        loop: makes the coroutine; one that returns is done.
        failed: takes its name, and when it failed.
        log: gets a line for each failure.
        sleep: waits before it begins again.
    """
    while True:
        work = loop()
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # the end of the process; a cancellation that nobody asked for is a failure like any other
            name = getattr(work, "__qualname__", "a loop")
            failed[name] = time.monotonic()
            log.exception("background_failed", loop=name, exc_info=error)
            await sleep(BEGIN_AGAIN_SECONDS)
        else:
            return


def background_check(failed: dict[str, float], clock: Callable[[], float] = time.monotonic) -> Check:
    """Return the readiness check of the background loops: one that fails is a guard, or a watch, that is off."""

    def check() -> Mapping[str, object]:
        lately = sorted(name for name, at in failed.copy().items() if clock() - at < FAILED_LATELY_SECONDS)
        return {"state": "degraded" if lately else "ok", "failed": lately}

    return check


def issue_development_token(
    settings: Settings, *, subject: str, roles: tuple[str, ...], tenant: str | None, lifetime: int
) -> str:
    """Return a token of the development issuer.

    Raises:
        BootRefused: its key file cannot be read or made.
    """
    return _development_issuer(settings).issue(subject, roles, tenant, lifetime)


def start_logging(settings: Settings, redactor: Redactor | None = None) -> Logging:
    """Have every logger of this process write through one pipeline, redacted and bounded."""
    config = LoggingConfig(
        renderer="json" if settings.renders_json else "console",
        level=settings.log_level,
        colors=sys.stdout.isatty(),
    )
    return configure_logging(config, redact=(redactor or Redactor()).redact)


def _telemetry(settings: Settings, redactor: Redactor) -> Telemetry:
    try:
        config = TelemetryConfig.from_environment(
            os.environ, service_name=settings.service_name, environment=settings.environment.value
        )
    except ValueError as error:
        raise BootRefused([str(error)]) from error
    return configure_telemetry(
        config,
        sampler=RequestSampler(settings.trace_sample_ratio),
        id_generator=RequestIds(),
        redact=redactor.text,
        set_global=True,
    )


def _upstreams(
    settings: Settings, telemetry: Telemetry, log: Any, simulators: Mapping[str, Callable[[], str]]
) -> tuple[Upstreams, Fallbacks]:
    seen = UpstreamTelemetry(telemetry.tracer, telemetry.meter, telemetry.add_producer, log.warning)
    counter = EventCounter(
        telemetry.meter, "breakwater.fallbacks", label="fallback", unit="{answer}", description="Answers that stood in."
    )
    fallbacks = Fallbacks(lambda name, source: counter.add(f"{name}.{source}"))
    return Upstreams(settings, seen, declared=DECLARED, simulators=simulators), fallbacks


def _containment(
    telemetry: Telemetry, redactor: Redactor, log: Any, strike: Callable[[str], None]
) -> Callable[[ContainmentError], None]:
    counter = EventCounter(
        telemetry.meter,
        "breakwater.containment.refusals",
        label="kind",
        unit="{refusal}",
        description="What handlers were kept from, by kind.",
        known=KINDS,
    )

    def contained(error: ContainmentError) -> None:
        counter.add(error.kind)
        strike(error.name)
        log.error(
            "containment_refused",
            entry=error.name,
            kind=error.kind,
            refused=error.event,
            argument=redactor.text(error.argument)[:MAX_ARGUMENT],
            mend=MENDS.get(error.kind, "find out how the handler came to this; no policy allows it"),
        )

    return contained


def _watchdog(telemetry: Telemetry, log: Any) -> LoopWatchdog:
    counter = EventCounter(
        telemetry.meter,
        "breakwater.event_loop.blocks",
        label="route",
        unit="{block}",
        description="Times that a request held the event loop, by route.",
    )

    def blocked(block: Block) -> None:
        counter.add(block.route or "none")
        log.error("event_loop_blocked", entry=block.route, seconds=round(block.seconds, 3), stack=list(block.stack))

    def free(seconds: float, route: str | None) -> None:
        log.warning("event_loop_free", entry=route, seconds=round(seconds, 3))

    return LoopWatchdog(on_block=blocked, on_end=free)


def watchdog_check(watchdog: LoopWatchdog) -> Check:
    """Return the readiness check of the event loop: who stands still too often should get no requests."""

    def check() -> Mapping[str, object]:
        seconds = watchdog.blocked()
        state = "unavailable" if seconds > watchdog.config.bound else "ok"
        return {"state": state, "blocked_seconds": round(seconds, 1)}

    return check


def _memory(settings: Settings, lifecycle: Lifecycle, log: Any) -> MemoryLimit | None:
    """Return what keeps this process below its bound, or None where it has none."""
    shared = container_limit()
    if settings.max_memory is not None:
        most = settings.max_memory * MIB
    elif shared is not None:
        most = int(shared * SHARE_OF_CONTAINER) // lifecycle.processes
    else:
        return None

    def full(memory: Memory) -> None:
        log.error("memory_full", resident_mib=memory.resident // MIB, most_mib=most // MIB)
        lifecycle.retire()

    return MemoryLimit(MemoryLimitConfig(most=most), on_full=full)


def memory_check(limit: MemoryLimit) -> Check:
    """Return the readiness check of the memory: a process that held nearly all from the start is no healthy one."""
    states = {"full": "unavailable", "too_small": "degraded"}

    def check() -> Mapping[str, object]:
        facts = {"resident_mib": limit.resident // MIB, "most_mib": limit.config.most // MIB}
        return {"state": states.get(limit.state, "ok"), **facts}

    return check


def _outbox(
    database: Database,
    upstreams: Upstreams,
    telemetry: Telemetry,
    log: Any,
    contained: Callable[[ContainmentError], None],
) -> Background:
    counter = EventCounter(
        telemetry.meter, "breakwater.outbox", label="outcome", unit="{message}", description="What became of messages."
    )
    outbox = Background(database, upstreams, telemetry.tracer, log, counter.add, contained=contained)
    observe_states(
        telemetry.meter,
        "breakwater.outbox.messages",
        label="status",
        read=outbox.counts,
        unit="{message}",
        description="Messages that are there, by status, as last counted.",
    )
    return outbox


def _limiters(settings: Settings, log: Any) -> tuple[AsyncLimiter, AsyncLimiter]:
    problems = []
    for name in ("flood_rate", "failed_authentication_rate"):
        rate = getattr(settings, name)
        if name == "flood_rate" and rate == "unlimited":
            continue
        try:
            parse_rate(rate)
        except InvalidRate as error:
            problems.append(f"APP_{name.upper()}: {error}")
    if problems:
        raise BootRefused(problems)
    if settings.redis_url is None:
        return AsyncLimiter(), AsyncLimiter()
    # Redis' client is a third of what there is to import, and most services start without it.
    from app.patterns.rate_limit_storage import RedisWindowStorage  # noqa: PLC0415

    url = settings.redis_url.get_secret_value()

    def turned(state: str, reason: str) -> None:
        log.warning("rate_limit_store", state=state, reason=reason)

    config = RateLimitConfig(
        timeout=settings.redis_timeout,
        # The same in every process that shares this store, and known to nobody who only reads the store.
        hash_key=hashlib.blake2b(url.encode(), digest_size=32, person=b"rate-limit").digest(),
    )
    return AsyncLimiter(config=config, shared=RedisWindowStorage(url), on_transition=turned), AsyncLimiter()


Keys = tuple[KeySource, dict[str, Check], tuple[Callable[[], Any], ...], tuple[Callable[[], Any], ...]]


def _keys(settings: Settings, log: Any) -> Keys:
    """Return where keys come from, its check, its background loops, and what closes it."""
    if settings.jwks_url is None:
        return _development_issuer(settings), {}, (), ()
    # As with Redis: an HTTP client is not imported where nobody is called.
    import httpx2  # noqa: PLC0415

    from app.patterns.jwks import JwksCache, JwksConfig  # noqa: PLC0415

    client = httpx2.AsyncClient(follow_redirects=False, trust_env=False)

    def observe(event: str, detail: str) -> None:
        log.info("jwks", what=event, detail=detail)

    try:
        config = JwksConfig(url=settings.jwks_url, allow_http=settings.allow_plain_jwks and not settings.production)
    except ValueError as error:
        raise BootRefused([f"APP_JWKS_URL: {error}"]) from error
    keys = JwksCache(config, client, observe=observe)

    async def stay_fresh() -> None:
        while True:
            await keys.refresh()
            await asyncio.sleep(KEY_REFRESH_SECONDS)

    def check() -> Mapping[str, object]:
        state = keys.state()
        return {**state, "state": "degraded" if state["state"] == "stale" else state["state"]}

    return keys, {"issuer_keys": check}, (stay_fresh,), (keys.aclose, client.aclose)


def _development_issuer(settings: Settings) -> DevelopmentIssuer:
    try:
        return DevelopmentIssuer(settings.development_key_path, audience=settings.audience)
    except (KeyFileError, OSError) as error:
        raise BootRefused([f"APP_DEVELOPMENT_KEY_PATH: {error}"]) from error

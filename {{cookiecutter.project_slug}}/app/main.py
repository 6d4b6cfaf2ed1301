"""The composition root: every pattern is put in its place here, and the order can be read in one sitting.

``EDGE`` is what every request passes, ``GUARDS`` what stands round each route, both outermost first. Both are
arguments of :func:`create_app`, so that a test can leave one out and see what is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from app import docs, ops
from app.components import Components, build_components, running
from app.definition import READING, Definition, asks_for, read_definition
from app.dependencies import look_of, outbox_of, session_of
from app.healthcheck import keep_beating
from app.models.base import IDEMPOTENCY
from app.openapi import complete, operation_extra
from app.patterns.authentication import (
    Authentication,
    AuthenticationError,
    KeysUnavailableError,
    TooManyFailures,
)
from app.patterns.authorization import Authorization, Roles
from app.patterns.body_limit import BodyLimit
from app.patterns.containment import Containment
from app.patterns.deadline import Deadline, remaining, requested_timeout
from app.patterns.graceful_shutdown import RETIRED, Lifecycle
from app.patterns.idempotency import Idempotency, IdempotencyConfig
from app.patterns.idempotency_store import SqlIdempotencyStore
from app.patterns.load_shedding import LoadShedding, Overloaded
from app.patterns.metrics import RequestMetrics
from app.patterns.ownership import TRUSTED, OwnerScope
from app.patterns.quarantine import Quarantine, Quarantined, RouteBusy
from app.patterns.rate_limit import FloodLimit, RateLimit, address_block
from app.patterns.request_log import RequestLog
from app.patterns.row_security import principal as row_principal
from app.patterns.security_headers import DOCS_POLICY, HSTS, OPS_POLICY, SecurityHeaders, SecurityHeadersConfig
from app.patterns.structured_logging import REQUEST_CONTEXT
from app.patterns.tracing import Tracing, TracingConfig
from app.patterns.unit_of_work import UnitOfWork
from app.policy import MountedRoute, Policy, RoutePolicy, table_rows
from app.reload import Switch, reload_on_change, watch_files
from app.routing import (
    GuardedRoute,
    Handler,
    RouteIndex,
    fresh_handlers,
    handlers_of_router,
    name_allowed_methods,
)
from app.settings import ROOT, BootRefused, Settings, load_settings, unknown_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.background import Background
    from app.database import RequestSession
    from app.patterns.guarded_http import HttpGuard
    from app.patterns.process_locks import ProcessLocks

HANDLERS_FOLDER = ROOT / "app" / "handlers"
JOBS_FOLDER = ROOT / "app" / "jobs"

LEASE_MARGIN = 1.0
"""Seconds by which the lease of an external claim outlasts the route's timeout: the deadline's grace, a rollback."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the edge: what every request passes before it is routed."""

    name: str
    build: Callable[[ASGIApp, Components], ASGIApp]


@dataclass(frozen=True, slots=True)
class Grants:
    """What people granted: each role's permissions, and whose objects it reaches.

    Attributes:
        roles: role -> permissions.
        policy: the whole of the policy.
    """

    roles: Roles
    policy: Policy


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard of a route; ``build`` returns the application itself where the policy leaves it nothing to do.

    Attributes:
        needed: tells from the handler whether it is needed at all; None: always.
    """

    name: str
    build: Callable[[ASGIApp, RoutePolicy, Components, Grants], ASGIApp]
    needed: Callable[[Handler, RoutePolicy], bool] | None = None


def _request_log(app: ASGIApp, parts: Components) -> ASGIApp:
    # A subject may be an e-mail address. It is judged once and remembered: it comes with every request.
    shown = lru_cache(maxsize=4096)(parts.redactor.text)

    def caller(scope: Scope) -> str | None:
        principal = scope["state"].get("principal")
        return None if principal is None else shown(principal.subject)

    return RequestLog(app, emit=parts.logging.emit, context=REQUEST_CONTEXT, caller=caller)


def _tracing(app: ASGIApp, parts: Components) -> ASGIApp:
    config = TracingConfig(
        ratio=parts.settings.trace_sample_ratio, trust_remote_sampling=parts.settings.trust_remote_sampling
    )
    on_probation = any(staged.policy.stage == "probation" for staged in parts.stages.routes.values())

    def keep(scope: Scope) -> bool:
        return "probation" in scope.get("state", ())

    return Tracing(
        app,
        tracer=parts.telemetry.tracer,
        config=config,
        redact=parts.redactor.text,
        # Asked at the end of each request, so only where a route may be on probation; a reload may put one there.
        keep=keep if on_probation or not parts.settings.production else None,
    )


def _metrics(app: ASGIApp, parts: Components) -> ASGIApp:
    metrics = RequestMetrics(app)
    parts.telemetry.add_producer(metrics.produce)
    return metrics


def _security_headers(app: ASGIApp, parts: Components) -> ASGIApp:
    config = SecurityHeadersConfig(
        path_policies={
            **({"/docs": DOCS_POLICY} if parts.settings.serves_docs else {}),
            **(dict.fromkeys(("/ops", "/ops/act", "/ops/login"), OPS_POLICY) if parts.settings.ops else {}),
        },
        strict_transport_security=HSTS if parts.settings.hsts else None,
    )
    return SecurityHeaders(app, config=config)


class _Cors(CORSMiddleware):
    """Starlette's, whose refusals are problems like all others."""

    def __init__(self, app: ASGIApp, parts: Components, **options: Any) -> None:
        super().__init__(app, **options)
        self._refuse = parts.problems.refuse

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the answer to a preflight request."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:  # noqa: PLR2004 - RFC 9110, section 15.5
            return answer
        error = HTTPException(answer.status_code, bytes(answer.body).decode())

        async def refused(scope: Scope, receive: Receive, send: Send) -> None:
            await self._refuse(scope, receive, send, error)

        return refused  # type: ignore[return-value]  # it is only called as an application


def _cors(app: ASGIApp, parts: Components) -> ASGIApp:
    if not parts.settings.cors_origins:
        return app
    return _Cors(
        app,
        parts,
        allow_origins=parts.settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["authorization", "content-type", "idempotency-key", "traceparent", "x-request-id"],
        expose_headers=["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed"],
        max_age=600,
    )


def _problem_details(app: ASGIApp, parts: Components) -> ASGIApp:
    return parts.problems.wrap(app)


def _client(parts: Components) -> Callable[[Scope], str]:
    """Return what tells clients apart; where proxies are trusted it also notes the address for the log."""
    if not parts.settings.trusted_proxies:
        return parts.client

    def client(scope: Scope) -> str:
        address = scope["state"]["client"] = parts.client(scope)
        return address

    return client


def _noting_client(app: ASGIApp, client: Callable[[Scope], str]) -> ASGIApp:
    """Have the log name the client and not the proxy, where no flood limit asks for it."""

    def noting(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            client(scope)
        return app(scope, receive, send)

    return noting


def _flood_limit(app: ASGIApp, parts: Components) -> ASGIApp:
    if parts.settings.flood_rate == "unlimited":
        return app if not parts.settings.trusted_proxies else _noting_client(app, _client(parts))
    return FloodLimit(
        app,
        limiter=parts.flood_limiter,
        rate=parts.settings.flood_rate,
        client=_client(parts),
        exempt=PROBES,
        refuse=parts.problems.refuse,
    )


def _load_shedding(app: ASGIApp, parts: Components) -> ASGIApp:
    def is_known(scope: Scope) -> bool:
        # Whose token was verified a while ago: a new one costs a signature, which is what a flood would buy.
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return header[:7].lower() == b"bearer " and parts.verifier.cached(header[7:].strip()) is not None

    async def refuse(scope: Scope, receive: Receive, send: Send, error: Overloaded) -> None:
        parts.stages.shed(scope["method"], scope["path"])
        await parts.problems.refuse(scope, receive, send, error)

    shedding = LoadShedding(
        app,
        gradient=parts.gradient,
        exempt=PROBES,
        is_known=is_known,
        remaining=lambda scope: requested_timeout(scope["headers"]),
        arrived=lambda scope: scope["state"].get("arrived"),
        refuse=refuse,
    )
    parts.loads.append(shedding)
    return shedding


EDGE = (
    Layer("request_log", _request_log),  # first: it names the request for everything behind it, and closes it
    Layer("tracing", _tracing),
    Layer("metrics", _metrics),
    Layer("security_headers", _security_headers),  # outside of everything that answers, refusals included
    Layer("cors", _cors),
    Layer("problem_details", _problem_details),
    Layer("flood_limit", _flood_limit),  # before authentication: checking a signature is what a flood would buy
    Layer("load_shedding", _load_shedding),
)
"""What every request passes, outermost first."""


PROBES = frozenset({"/livez", "/readyz"})
"""Paths that an orchestrator asks for: never shed, never quarantined."""

NOT_ITS_FAULT = frozenset({"database_timeout", "upstream_bad_answer", "upstream_refused", "upstream_timeout"})
"""Codes of refusals that say of something behind a route that it fails; so does every 503."""


def _stage(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    staged = parts.stages.routes.get(f"{policy.method} {policy.path}")
    if staged is None:
        return app
    evidence = staged.evidence

    def judge(status: int, scope: Scope) -> bool | None:
        if 0 < status < 499:  # noqa: PLR2004 - below what says something: nearly all
            return False
        timeout = parts.stages.timeout(policy, staged.stage)
        # No fault of its own either: its client left it no time, or took it with a body that did not come.
        hurried = _own_time(scope, timeout) < staged.budget.config.slow_after
        if hurried or status in {503, 499} or scope["state"].get("code") in NOT_ITS_FAULT:
            return None
        return status >= 500  # noqa: PLR2004 - RFC 9110, section 15.6

    async def refuse(scope: Scope, receive: Receive, send: Send, error: Quarantined | RouteBusy) -> None:
        evidence.shed += 1
        await parts.problems.refuse(scope, receive, send, error)

    def status_of(error: Exception, scope: Scope) -> int:
        problem = parts.problems.problem(error)  # what escapes is judged by what its caller will be told
        if problem is None:
            return 500
        scope["state"]["code"] = problem.code
        return problem.status

    guard = Quarantine(
        app,
        staged.budget,
        concurrency=partial(parts.stages.concurrency, staged),
        judge=judge,
        status_of=status_of,
        observe=evidence.ended,
        waited=_waited,
        refuse=refuse,
    )
    if policy.stage == "active":
        return guard

    def sampled(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["state"]["probation"] = True
        return guard(scope, receive, send)

    return sampled


def _waited(scope: Scope) -> float:
    """Return the seconds that a request's body was waited for."""
    seconds: float = scope["state"].get("body_wait", 0.0)
    return seconds


def _own_time(scope: Scope, timeout: float) -> float:
    """Return the seconds that a route itself had for a request that it did not end in time; of others, infinity."""
    if scope["state"].get("code") != "deadline_exceeded":
        return math.inf
    asked = requested_timeout(scope["headers"])
    return min(timeout, math.inf if asked is None else asked) - _waited(scope)


def _deadline(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    timeout = parts.stages.timeout(policy, policy.stage)
    guard = Deadline(app, timeout=timeout, refuse=parts.problems.refuse)
    staged = parts.stages.routes.get(f"{policy.method} {policy.path}")
    if staged is not None and timeout < policy.timeout:
        staged.on_promotion.append(lambda: setattr(guard, "timeout", policy.timeout))
        if staged.promoted:
            guard.timeout = policy.timeout
    return guard


def _body_limit(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    return BodyLimit(app, max_bytes=policy.max_body, timeout=policy.body_timeout, refuse=parts.problems.refuse)


def _authentication(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    if policy.public:
        return app
    return Authentication(
        app,
        verifier=parts.verifier,
        realm=parts.settings.audience,
        refuse=parts.problems.refuse,
        attempts=parts.attempts,
    )


def _authorization(app: ASGIApp, policy: RoutePolicy, parts: Components, grants: Grants) -> ASGIApp:
    if policy.public:
        return app
    return Authorization(app, required=policy.allow, roles=grants.roles, refuse=parts.problems.refuse)


def _rate_limit(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    if policy.rate is None:
        return app

    def caller(scope: Scope) -> str:
        # A public route knows no caller, so its callers are told apart by address.
        principal = scope["state"].get("principal")
        if principal is None:
            return f"addr:{address_block(parts.client(scope))}"
        # A subject of another tenant is somebody else, here as for rows and idempotency keys.
        return f"sub:{row_principal(principal.subject, principal.tenant or '')}"

    # The rate is part of the name: a reload may change it, and then the old counts mean nothing.
    name = f"{policy.method} {policy.path} {policy.rate}"
    return RateLimit(app, limiter=parts.limiter, rate=policy.rate, name=name, key=caller, refuse=parts.problems.refuse)


def _unit_of_work(app: ASGIApp, policy: RoutePolicy, parts: Components, grants: Grants) -> ASGIApp:
    scope_of = lru_cache(maxsize=256)(partial(grants.policy.scope, policy.allow))

    def sessions(scope: Scope, read_only: bool) -> RequestSession:  # noqa: FBT001 - the pattern's signature
        principal = scope["state"].get("principal")
        if principal is None:
            caller = OwnerScope(subject=_anonymous(parts, scope), tenant="", reach="none")
        else:
            caller = OwnerScope(principal.subject, principal.tenant or "", scope_of(principal.roles))
        return parts.database.session(caller, read_only=read_only, remaining=partial(remaining, scope))

    return UnitOfWork(app, sessions=sessions, verify=parts.database.verify)


def _idempotency(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    if policy.idempotency in {"off", "none"}:
        return app
    settings = parts.settings
    config = IdempotencyConfig(
        required=policy.idempotency == "required",
        external=policy.effects == "external",
        lifetime=settings.idempotency_lifetime,
        lease=policy.timeout + LEASE_MARGIN,
        max_request=policy.max_body,
        max_keys=settings.idempotency_keys_per_caller,
    )

    def principal(scope: Scope) -> str:
        caller = scope["state"].get("principal")
        return row_principal(*((caller.subject, caller.tenant or "") if caller else (_anonymous(parts, scope), "")))

    def store(scope: Scope) -> SqlIdempotencyStore:
        unit = scope["state"]["session"]
        return SqlIdempotencyStore(
            IDEMPOTENCY,
            session=unit(),
            transaction=parts.database.transaction,
            give_up=unit.give_up,
            options={TRUSTED: True},
        )

    return Idempotency(
        app,
        config=config,
        route=f"{policy.method} {policy.path}",
        principal=principal,
        store=store,
        now=time.time,
        running=parts.locks,
        refuse=parts.problems.refuse,
    )


def _outbound(app: ASGIApp, policy: RoutePolicy, _parts: Components, _grants: Grants) -> ASGIApp:
    if not policy.outbound:
        return app  # what is not said is nothing: no service can be reached

    def outbound(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["state"]["outbound"] = policy.outbound
        return app(scope, receive, send)

    return outbound


def _containment(app: ASGIApp, policy: RoutePolicy, parts: Components, _grants: Grants) -> ASGIApp:
    if not policy.line:
        return app  # people's own: the documentation, the operator's page
    return Containment(
        app,
        name=f"{policy.method} {policy.path}",
        # Its own source, which a traceback shows; no secret is kept there.
        read=(str(ROOT / "app"), *(str(ROOT / path) for path in policy.files.read)),
        write=[str(ROOT / path) for path in policy.files.write],
        keeps_body=policy.method not in READING,
        on_refusal=parts.contained,
    )


def _has_a_transaction(handler: Handler, policy: RoutePolicy) -> bool:
    """Tell whether a route can have one: its handler asks for the session, or its answer is stored."""
    return policy.idempotency in {"required", "optional"} or any(
        asks_for(handler, wanted) for wanted in (session_of, look_of, outbox_of)
    )


def _anonymous(parts: Components, scope: Scope) -> str:
    """Return what stands for the caller of a public route: its address is all that is known, of IPv6 its network."""
    return f"anonymous@{address_block(parts.client(scope))}"


GUARDS = (
    Guard("stage", _stage),  # outside of all that costs: what is out of service is refused for nothing
    Guard("deadline", _deadline),  # outside of everything that may wait
    Guard("body_limit", _body_limit),  # a declared length that is too large is refused before a token is looked at
    Guard("authentication", _authentication),
    Guard("authorization", _authorization),
    Guard("rate_limit", _rate_limit),  # counts known callers; who is unknown was counted by address
    # Inside of what refuses: who gets no further takes no connection.
    Guard("unit_of_work", _unit_of_work, _has_a_transaction),
    Guard("idempotency", _idempotency),  # its record is part of the transaction, so it stands in it
    Guard("outbound", _outbound),
    Guard("containment", _containment),  # innermost: the guards are people's, what they hold is not
)
"""What stands round each route, outermost first. A request is judged before its body is read."""


class Service(FastAPI):
    """FastAPI without its own outer layers: the edge shapes errors and bounds bodies, and does so once.

    A request goes from the edge to its route in one look-up. What no route takes (404, 405) goes through FastAPI's
    router, which knows how to say so.
    """

    def mount_routes(self, routes: list[GuardedRoute]) -> None:
        """Serve these routes and no others."""
        self.router.routes[:] = routes
        self._index = RouteIndex(routes)
        self._handlers: tuple[dict[type[Exception], Any], dict[int, Any]] = (
            {HTTPException: self._problem, RequestValidationError: self._problem},
            {},
        )

    def route_at(self, method: str, path: str) -> str | None:
        """Return method and path template of the route that would take a request, or None."""
        found = self._index.find(method, path)
        return None if found is None else f"{min(found[0].methods or ())} {found[0].path_format}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to its route; lifespan events go FastAPI's own way."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        scope["router"] = self.router
        scope["starlette.exception_handlers"] = self._handlers
        found = self._index.find(scope["method"], scope["path"])
        if found is None:
            await self.router(scope, receive, send)
            return
        route, scope["path_params"] = found
        scope["route"], scope["endpoint"] = route, route.endpoint
        await route.app(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document with what the guards add."""
        if self.openapi_schema is None:  # made once: it is completed in place, and a second time is one too many
            self.openapi_schema = complete(super().openapi(), self.state.policies)
        return self.openapi_schema

    async def _problem(self, request: Request, error: Exception) -> Response:
        """Render what a handler raised to refuse a request, inside of its guards."""
        parts: Components = self.state.components
        problem = parts.problems.problem(error)
        if problem is None:
            raise error
        headers, body = parts.problems.response(request.scope, problem)
        response = Response(body, problem.status)
        response.raw_headers = headers
        return response


def create_app(
    settings: Settings | None = None,
    *,
    lifecycle: Lifecycle | None = None,
    http_guard: HttpGuard | None = None,
    locks: ProcessLocks | None = None,
    edge: tuple[Layer, ...] = EDGE,
    guards: tuple[Guard, ...] = GUARDS,
) -> ASGIApp:
    """Compose the service of one process.

    Args:
        settings: of this process; read from the environment by default.
        lifecycle: shared with the server that runs the service.
        http_guard: the server's own guard, whose refusals are counted with the others.
        locks: names that are held by one request of all workers at a time.
        edge: layers that every request passes, outermost first.
        guards: guards round each route, outermost first.

    Raises:
        BootRefused: with everything that keeps the service from starting.
    """
    settings = settings or load_settings()
    definition = read_definition(settings)
    parts = build_components(settings, lifecycle, http_guard, locks)

    @contextlib.asynccontextmanager
    async def lifespan(_service: FastAPI) -> AsyncIterator[None]:
        async with running(parts, *reloading):
            yield

    routes: ASGIApp = compose(definition, parts, guards, lifespan=lifespan)
    reloading: tuple[Callable[[], Awaitable[None]], ...] = ()
    if not settings.production:
        routes = switch = Switch(routes)
        reloading = (partial(_reload, switch, parts, guards),)
    app = routes
    for layer in reversed(edge):
        app = layer.build(_called(app), parts)
    _announce(definition, edge, guards, settings)
    return app


async def work(settings: Settings, heartbeat: Path | None = None) -> int:
    """Do jobs until the process is told to stop (SIGTERM, SIGINT); those that are being done have ten seconds to end.

    Args:
        settings: of this process.
        heartbeat: a file to touch while the loop turns, for who asks whether this process is well.

    Returns:
        0, or ``RETIRED`` if this process asked to be replaced.

    Raises:
        BootRefused: with everything that keeps the service from starting.
    """
    definition = read_definition(settings)
    lifecycle = Lifecycle()
    parts = build_components(settings.model_copy(update={"jobs_in_process": True}), lifecycle)
    parts.upstreams.open(set().union(*(entry.outbound for entry in definition.policy.jobs.values())))
    parts.outbox.declare(definition.jobs)
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    lifecycle.on_retire = stopping.set
    beat = () if heartbeat is None else (partial(keep_beating, heartbeat),)
    async with running(parts, *beat):
        structlog.get_logger("app").info("working", jobs=sorted(definition.jobs))
        await stopping.wait()
    return RETIRED if lifecycle.retiring else 0


@contextlib.asynccontextmanager
async def outbox_of_commands(settings: Settings) -> AsyncIterator[Background]:
    """Yield the outbox for a command that looks into it, and does no job.

    Raises:
        BootRefused: the database is away, or not what this code needs.
    """
    parts = build_components(settings)
    await parts.database.start()
    try:
        yield parts.outbox
    finally:
        await parts.database.aclose()


def create(*, lifecycle: Lifecycle, http_guard: HttpGuard, locks: ProcessLocks) -> ASGIApp:
    """Compose the service for the server, which hands over its phase, its own refusals, and what its workers share.

    Raises:
        BootRefused: with everything that keeps the service from starting.
    """
    return create_app(lifecycle=lifecycle, http_guard=http_guard, locks=locks)


def compose(
    definition: Definition,
    parts: Components,
    guards: tuple[Guard, ...] = GUARDS,
    *,
    lifespan: Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]] | None = None,
) -> Service:
    """Put every route behind its guards."""
    policy, settings = definition.policy, parts.settings
    grants = Grants(Roles(policy.roles), policy)
    parts.upstreams.open(
        set().union(
            *(entry.outbound for entry in policy.routes.values()), *(job.outbound for job in policy.jobs.values())
        )
    )
    parts.outbox.declare(definition.jobs)
    policies = {(handler.route.method, handler.route.path): _entry(policy, handler) for handler in definition.handlers}
    service = Service(
        title=settings.service_name,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would answer outside of the guards
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the edge does that for less
        lifespan=lifespan,
    )
    service.state.components, service.state.health, service.state.policies = parts, parts.health, policies
    service.state.upstreams, service.state.fallbacks = parts.upstreams, parts.fallbacks
    service.state.background = parts.outbox

    parts.stages.keep(frozenset(f"{entry.method} {entry.path}" for entry in policies.values()))

    def guarded(handler: Handler, entry: RoutePolicy) -> GuardedRoute:
        if entry.line and entry.path not in PROBES:  # without a line it is development's documentation
            parts.stages.enter(entry)

        def wrap(app: ASGIApp, _route: MountedRoute) -> ASGIApp:
            for guard in reversed(guards):
                if guard.needed is None or guard.needed(handler, entry):
                    app = guard.build(_called(app), entry, parts, grants)
            return _called(app)

        return GuardedRoute(handler, wrap=wrap, openapi_extra=operation_extra(entry), in_threads=in_threads)

    def in_threads(route: MountedRoute, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        return parts.threads.wrap(f"{route.method} {route.path}")(endpoint)

    routes = [guarded(handler, policies[handler.route.method, handler.route.path]) for handler in definition.handlers]
    if settings.serves_docs:
        routes += [guarded(handler, _own_policy(handler)) for handler in handlers_of_router(docs.router)]
    if settings.ops:
        service.state.desk = _desk(parts, grants)
        routes += [
            guarded(handler, _own_policy(handler, rate="600/minute", max_body=16_384))
            for handler in handlers_of_router(ops.router)
        ]
    name_allowed_methods(routes)
    service.mount_routes(routes)
    parts.stages.find = service.route_at
    return service


def _called(app: ASGIApp) -> ASGIApp:
    """Return what an application is called by: calling an object that has ``__call__`` takes a third longer."""
    if isinstance(app, FunctionType | MethodType):
        return app
    bound: ASGIApp = app.__call__  # type: ignore[operator]  # what has no such method is no application
    return bound


def _entry(policy: Policy, handler: Handler) -> RoutePolicy:
    entry = policy.find(handler.route.method, handler.route.path)
    if entry is None:  # read_definition checks this; a second look costs nothing and fails closed
        raise BootRefused([f"{handler.route.method} {handler.route.path}: no policy entry"])
    return entry


def _desk(parts: Components, grants: Grants) -> ops.Desk:
    """Return what the operator's page needs: it tells its visitors by a cookie, and so by itself."""

    async def visitor(scope: Scope, token: str) -> ops.Visitor | None:
        if parts.verifier.cached(token.encode("ascii", "replace")) is None:
            retry_after = await parts.attempts.blocked(scope)
            if retry_after is not None:
                raise TooManyFailures(retry_after)
        try:
            principal = await parts.verifier.verify(token)
        except KeysUnavailableError:
            return None
        except AuthenticationError as error:
            if error.code != "token_expired":  # its signature was good: a page left open, and no guess
                await parts.attempts.failed(scope)
            return None
        # In full: she sees her own name, and what she does is remembered by it; the log redacts by itself.
        return ops.Visitor(principal.subject, grants.roles.permissions(principal.roles))

    return ops.Desk(parts.operations, visitor, structlog.get_logger("app"), secure=parts.settings.production)


def _own_policy(handler: Handler, *, rate: str | None = None, max_body: int = 0) -> RoutePolicy:
    """Return the built-in policy of what is no handler: development's documentation, the operator's page."""
    return RoutePolicy(
        method=handler.route.method,
        path=handler.route.path,
        public=True,
        allow=frozenset(),
        rate=rate,
        timeout=5.0,
        max_body=max_body,
        body_timeout=5.0,
        idempotency="none",
        idempotency_reason="",
        effects="local",
        outbound=frozenset(),
        stage="active",
        line=0,
    )


async def _reload(switch: Switch, parts: Components, guards: tuple[Guard, ...]) -> None:
    """Serve what changed in the handlers and the policy, as long as it loads."""
    log = structlog.get_logger("app")

    async def rebuild() -> ASGIApp:
        with fresh_handlers():
            return compose(read_definition(parts.settings), parts, guards)

    def report(outcome: str, lines: list[str]) -> None:
        if outcome == "reloaded":
            log.info("reloaded", changed=lines)
        else:
            for line in lines:
                log.error("not_reloaded", problem=line, serving="the version before")

    watch = watch_files([HANDLERS_FOLDER, JOBS_FOLDER], parts.settings.policy_path)
    await reload_on_change(watch, rebuild, switch, report)


def _announce(definition: Definition, edge: tuple[Layer, ...], guards: tuple[Guard, ...], settings: Settings) -> None:
    """Log what stands in front of what: nothing is silently off."""
    log = structlog.get_logger("app")
    log.info(
        "composed",
        routes=len(definition.handlers),
        edge=[layer.name for layer in edge],
        guards=[guard.name for guard in guards],
        policy=str(definition.policy.source),
        jobs=sorted(definition.jobs),
    )
    for row in table_rows(definition.policy, definition.mounted):
        log.info("route", **row)
    longest = max(entry.timeout for entry in definition.policy.routes.values())
    if longest > settings.drain_timeout:
        log.warning("drain_cuts_requests", longest_timeout=longest, drain_timeout=settings.drain_timeout)
    for name in unknown_settings(os.environ):
        log.warning("unknown_setting", name=name)

"""One call to another service: what it needs to know, and what of the request that makes it travels along."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from app.patterns.deadline import remaining
from app.patterns.http_client import UpstreamError, UpstreamRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Scope

    from app.patterns.http_client import Answer

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (idempotent, RFC 9110, 9.2.2). Others may with a key only."""

MARGIN: Final = 0.02
"""Seconds of the request's deadline that a call leaves over: for the handler to fall back, and to answer."""


_OVERLOADED: Final = frozenset({408, 429})


def is_failure(error: BaseException) -> bool:
    """Tell whether an error is the service's own: it is away, broken, overloaded or too slow.

    A refusal is none: who asks for what does not exist, or may not ask, learns that from a service that works.
    """
    if isinstance(error, UpstreamRefused):
        return error.status >= 500 or error.status in _OVERLOADED  # noqa: PLR2004 - RFC 9110, section 15.6
    return isinstance(error, UpstreamError)


class OutboundNotAllowed(Exception):
    """A route reaches for a service that its policy does not name. The text says which line to write, and where."""

    def __init__(self, upstream: str, route: str) -> None:
        where = f'[routes."{route}"]' if route else "the entry of the route"
        super().__init__(f'{where} in policy.toml lacks outbound = ["{upstream}"]')
        self.upstream = upstream
        self.route = route


class KeyNeeded(Exception):
    """A call that must happen once was made by a request that has no Idempotency-Key."""

    def __init__(self, upstream: str, route: str) -> None:
        where = f'[routes."{route}"]' if route else "the entry of the route"
        super().__init__(
            f'{where} in policy.toml lacks idempotency = "required" and effects = "external": '
            f"a call to {upstream} that must happen once needs the request's key"
        )
        self.upstream = upstream
        self.route = route


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf calls are made: a request, or a job.

    Attributes:
        outbound: the services that may be reached; none unless listed.
        route: method and path template, for messages.
        request_id: of the request.
        remaining: seconds left of its deadline, or None without one.
        key_for: derives the idempotency key of a call from the request's own; None without one.
    """

    outbound: frozenset[str] = frozenset()
    route: str = ""
    request_id: str | None = None
    remaining: Callable[[], float | None] = field(default=lambda: None)
    key_for: Callable[[str], str] | None = None

    @classmethod
    def of(cls, scope: Scope) -> CallContext:
        """Return the context of a request; without the guard that knows its policy it may reach nothing."""
        state: dict[str, Any] = scope["state"]
        claim = state.get("idempotency")
        template = getattr(scope.get("route"), "path_format", "")
        return cls(
            outbound=state.get("outbound", frozenset()),
            route=f"{scope['method']} {template}" if template else "",
            request_id=state.get("request_id"),
            remaining=lambda: remaining(scope),
            key_for=None if claim is None else claim.key_for,
        )


@dataclass(slots=True)
class Call:
    """One call on its way through the pipeline.

    Attributes:
        method: HTTP method.
        template: the path with its parameters' names, which is what metrics and spans are told.
        repeatable: it may be sent again although it may have arrived.
        key: the idempotency key that makes it so.
        context: on whose behalf it is made.
        transport: sends it once, with these headers.
        deadline: the loop's time at which it ends, once that is known.
        attempts: number of attempts begun.
        sent: one of them may have arrived.
        headers: of the attempt that is being made.
    """

    method: str
    template: str
    repeatable: bool
    key: str | None
    context: CallContext
    transport: Callable[[Mapping[str, str]], Awaitable[Answer]]
    deadline: float | None = None
    attempts: int = 0
    sent: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def left(self) -> float | None:
        """Return the seconds until nobody waits for its answer any more, or None if somebody always does."""
        return None if self.deadline is None else self.deadline - asyncio.get_running_loop().time()


def headers_of(call: Call) -> dict[str, str]:
    """Return what of the request travels along with a call: its id, its trace, the time that it has left."""
    headers: dict[str, str] = {}
    if call.context.request_id is not None:
        headers["x-request-id"] = call.context.request_id
    left = call.left()
    if left is not None:
        headers["x-request-timeout-ms"] = str(max(int(left * 1000), 0))
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        headers["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
        if span.trace_state:
            headers["tracestate"] = span.trace_state.to_header()
    return headers

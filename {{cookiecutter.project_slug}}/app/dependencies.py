"""What a handler may ask for. Everything else about a request is the business of its guards.

A handler names one of these in its signature, and FastAPI hands it over::

    @router.get("/v1/orders/{order_id}")
    async def read_order(order_id: UUID, session: Session) -> OrderOut: ...
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.background import Background, JobContext, Jobs
from app.background import Outbox as RequestOutbox
from app.upstreams import (
    CallContext,
    Charge,
    Fallbacks,
    PaymentDeclined,
    PaymentsClient,
    RequestFallback,
    UpstreamClient,
    UpstreamError,
    UpstreamRefused,
    Upstreams,
    UpstreamUnavailable,
    UrlRefused,
    WebClient,
)

__all__ = [
    "Caller",
    "Charge",
    "EffectKey",
    "Fallback",
    "Identity",
    "Jobs",
    "Look",
    "Outbox",
    "PaymentDeclined",
    "Payments",
    "Session",
    "UpstreamError",
    "UpstreamRefused",
    "UpstreamUnavailable",
    "UrlRefused",
    "Web",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent this request, as the guards have verified it.

    Attributes:
        subject: stable identifier of the caller, unique within its issuer.
        roles: roles that the token carries; unknown ones are in it too, but grant nothing.
        permissions: what the policy grants to these roles, as ``resource:action``.
        tenant: the tenant that the token names, or None.
    """

    subject: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    tenant: str | None


async def caller_of(request: Request) -> Identity:
    """Return the verified caller of this request.

    Raises:
        RuntimeError: the route is public. The service refuses such a route at boot.
    """
    state = request.scope["state"]
    principal = state.get("principal")
    if principal is None:
        raise RuntimeError("a public route has no caller")
    return Identity(
        subject=principal.subject,
        roles=principal.roles,
        permissions=state.get("permissions", frozenset()),
        tenant=principal.tenant,
    )


Caller = Annotated[Identity, Depends(caller_of)]
"""Parameter type of a handler that wants to know who is calling."""


async def session_of(request: Request) -> AsyncSession:
    """Return the database session of this request.

    Its transaction begins with the first statement, and is committed when the answer is complete and below 400; else it
    is rolled back. It reaches what the caller may reach, and for GET only reads.
    """
    session: AsyncSession = request.scope["state"]["session"]()
    return session


Session = Annotated[AsyncSession, Depends(session_of)]
"""Parameter type of a handler that reads or writes. It never commits: the service does, before the answer leaves."""


async def look_of(request: Request) -> Callable[[], AbstractAsyncContextManager[AsyncSession]]:
    """Return what opens a session that only reads, apart from the request's transaction, and gives it back at once."""
    look: Callable[[], AbstractAsyncContextManager[AsyncSession]] = request.scope["state"]["session"].look
    return look


Look = Annotated[Callable[[], AbstractAsyncContextManager[AsyncSession]], Depends(look_of)]
"""Parameter type of a handler that has to know something before it asks another service::

    async with look() as glance:
        article = await glance.get(Stock, sku)

At the end of the block the connection goes back. ``Session`` keeps its own until the answer: whoever used it first
would hold a lock, and one of few connections, for as long as the other service takes.
"""


async def effect_key_of(request: Request) -> Callable[[str], str]:
    """Return what derives the idempotency keys of calls to other services from this request's own key.

    Raises:
        RuntimeError: the request has no key; ask for this on routes whose policy requires one.
    """
    claim = request.scope["state"].get("idempotency")
    if claim is None:
        raise RuntimeError('this request has no Idempotency-Key: its policy needs idempotency = "required"')
    key_for: Callable[[str], str] = claim.key_for
    return key_for


EffectKey = Annotated[Callable[[str], str], Depends(effect_key_of)]
"""Parameter type of a handler with an effect elsewhere: ``effect_key("charge")`` is the key to send along.

It is the same each time this request is tried, and another for another caller, request or name; so a service that
honours idempotency keys does the work once, however often the handler runs.
"""


async def outbox_of(request: Request) -> RequestOutbox:
    """Return the outbox of this request: what is added is done after its transaction was committed, or never."""
    background: Background = request.app.state.background
    state = request.scope["state"]
    about = {"request_id": str(state.get("request_id", ""))}
    principal = state.get("principal")
    if principal is not None:
        about |= {"subject": principal.subject, "tenant": principal.tenant or ""}
    return background.outbox(state["session"], about)


Outbox = Annotated[RequestOutbox, Depends(outbox_of)]
"""Parameter type of a handler that has work done later: ``await outbox.add("order.placed", {"order_id": order.id})``.

Written in the request's transaction; done at least once after the commit, by the function that says
``@jobs.on("order.placed")`` in app/jobs.
"""

U = TypeVar("U", bound=UpstreamClient[Any])


class Reach(Generic[U]):
    """The dependency on a declared service. The policy of a route says which it may reach (``outbound``).

    Args:
        kind: what the handler gets.

    Attributes:
        upstream: the service's name.
    """

    def __init__(self, kind: type[U]) -> None:
        self.upstream = kind.upstream.name
        self._kind = kind

    async def __call__(self, request: Request) -> U:
        """Return the service, bound to this request: its deadline, its trace, its idempotency key.

        Raises:
            OutboundNotAllowed: the route's policy does not name it. Where a handler's signature asks for it, the
                service refuses at boot already.
        """
        upstreams: Upstreams = request.app.state.upstreams
        return upstreams.client(self._kind, CallContext.of(request.scope))

    def for_job(self, context: JobContext) -> U:
        """Return the service for a job, on behalf of the message that it does."""
        return context.upstreams.client(self._kind, context.calls)


Payments = Annotated[PaymentsClient, Depends(Reach(PaymentsClient))]
"""Parameter type of a handler that charges or refunds. On a route with ``effects = "external"``."""

Web = Annotated[WebClient, Depends(Reach(WebClient))]
"""Parameter type of a handler that fetches what a caller names."""


async def fallback_of(request: Request, response: Response) -> RequestFallback:
    """Return what this request falls back on when a service is away."""
    fallbacks: Fallbacks = request.app.state.fallbacks
    principal = request.scope["state"].get("principal")
    owner = () if principal is None else (principal.tenant or "", principal.subject)
    return RequestFallback(fallbacks, owner, response.headers)


Fallback = Annotated[RequestFallback, Depends(fallback_of)]
"""Parameter type of a handler that answers with something older, or simpler, rather than not at all."""

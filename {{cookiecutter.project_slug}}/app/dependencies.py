"""What a handler may ask for. Everything else about a request is the business of its guards.

A handler names one of these in its signature, and FastAPI hands it over::

    @router.get("/v1/orders/{order_id}")
    async def read_order(order_id: UUID, session: Session) -> OrderOut: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession


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

"""What a handler may ask for. Everything else about a request is the business of its guards.

A handler names one of these in its signature, and FastAPI hands it over::

    @router.get("/v1/orders")
    async def list_orders(caller: Caller) -> list[Order]: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request


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

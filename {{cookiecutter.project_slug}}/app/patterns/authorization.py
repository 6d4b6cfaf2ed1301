"""Authorization: a caller reaches a route only with every permission that the route demands.

Threat: each handler checks rights by itself, in its own words, and one forgets; or roles from a token are
compared with roles in the code, so that a new role, a typo or a role that somebody else's issuer invented opens
a door that nobody meant to open.

What it does: roles come from the token, permissions from a table that people own. A role that the table does not
know grants nothing. A route names permissions, never roles, and needs all of them. No principal, no entry: the
guard fails closed if it is wired without authentication in front. An empty set of required permissions lets in
every caller with a principal: whoever composes routes has to make sure that it was meant, and not forgotten.

There are no wildcards (``orders:*``): what a role may do can be read off the table, and a new action is not
granted before somebody grants it.

What it does not do: decide about single objects ("her own orders"). That belongs where the object is read.
WebSockets are refused, because passing them on would be an open door.

To lift it: needs nothing (``starlette`` for its types only)::

    roles = Roles({"support": frozenset({"orders:read"})})
    app = Authorization(app, required=frozenset({"orders:read"}), roles=roles)

with authentication outside of it that puts an object with ``roles`` into ``scope["state"]["principal"]``. What
the caller may do is then in ``scope["state"]["permissions"]``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PERMISSION: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}:[a-z][a-z0-9_-]{0,63}")
"""At most 64 characters each: a permission stands in tables, logs and OpenAPI, where it is read by people."""

CACHE_SIZE: Final = 256
"""Combinations of roles remembered: services have a handful; the bound is for issuers that put anything in."""


class HasRoles(Protocol):
    """What this guard needs to know about a caller."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The caller's roles, as the issuer names them."""
        ...


class PermissionDenied(Exception):
    """The caller is known and may not do this: 403, without telling what is missing.

    Attributes:
        required: the permissions that the route demands; for the log.
    """

    def __init__(self, required: frozenset[str]) -> None:
        super().__init__(f"all of these are required: {', '.join(sorted(required))}")
        self.required = required


Refuse = Callable[["Scope", "Receive", "Send", PermissionDenied], Awaitable[None]]
Principal = Callable[["Scope"], HasRoles | None]


def parse_permission(text: str) -> str:
    """Return ``text`` if it is a permission: ``resource:action``, such as ``orders:read``.

    Both parts begin with a lower-case letter and go on with lower-case letters, digits, ``_`` and ``-``, at
    most 64 characters each.

    Raises:
        ValueError: it is not a permission.
    """
    if not _PERMISSION.fullmatch(text):
        raise ValueError(f"a permission is resource:action in lower case, not {text[:140]!r}")
    return text


class Roles:
    """The table of what each role may do. One for the process; belongs to one event loop.

    Args:
        mapping: role -> its permissions; copied.
        cache_size: combinations of roles remembered; the least recently used goes first.

    Raises:
        ValueError: a permission is malformed, or a role has no name.
    """

    def __init__(self, mapping: Mapping[str, frozenset[str]], *, cache_size: int = CACHE_SIZE) -> None:
        if "" in mapping:
            raise ValueError("a role must have a name")
        self._table = {role: frozenset(map(parse_permission, granted)) for role, granted in mapping.items()}
        self._cache_size = cache_size
        self._cache: OrderedDict[tuple[str, ...], frozenset[str]] = OrderedDict()

    def permissions(self, roles: tuple[str, ...]) -> frozenset[str]:
        """Return what these roles may do together; roles that the table does not know grant nothing."""
        granted = self._cache.get(roles)
        if granted is not None:
            self._cache.move_to_end(roles)
            return granted
        granted = frozenset().union(*(self._table.get(role, frozenset()) for role in roles))
        self._cache[roles] = granted
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return granted


class Authorization:
    """Lets in only callers with all required permissions.

    Args:
        app: the ASGI application to guard.
        required: permissions of the route; empty lets in every authenticated caller, and still nobody else.
        roles: what each role may do.
        principal: finds the caller in the scope; default reads ``scope["state"]["principal"]``.
        refuse: answers what is refused; default is a bare problem document.

    Raises:
        ValueError: a permission is malformed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        required: frozenset[str],
        roles: Roles,
        principal: Principal | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self.app = app
        self.required = frozenset(map(parse_permission, required))
        self.roles = roles
        self.principal = principal or _principal
        self.refuse = refuse or _refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with its permissions, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # RFC 6455: policy violation
            else:
                await self.app(scope, receive, send)
            return
        principal = self.principal(scope)
        if principal is not None:
            permissions = self.roles.permissions(principal.roles)
            if self.required <= permissions:
                scope.setdefault("state", {})["permissions"] = permissions
                await self.app(scope, receive, send)
                return
        await self.refuse(scope, receive, send, PermissionDenied(self.required))


def _principal(scope: Scope) -> HasRoles | None:
    state = scope.get("state")
    principal: HasRoles | None = state.get("principal") if state else None
    return principal


_BODY: Final = b'{"type":"about:blank","title":"Forbidden","status":403,"code":"permission_denied"}'


async def _refuse(_scope: Scope, _receive: Receive, send: Send, _error: PermissionDenied) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(_BODY))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})

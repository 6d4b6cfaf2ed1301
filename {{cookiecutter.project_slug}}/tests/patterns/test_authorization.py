from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from app.patterns.authorization import Authorization, PermissionDenied, Roles, parse_permission
from tests.support.live import serve

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

READ, WRITE = "orders:read", "orders:write"
ROLES = Roles({"customer": frozenset({READ, WRITE}), "support": frozenset({READ}), "writer": frozenset({WRITE})})


@dataclass(frozen=True)
class Caller:
    roles: tuple[str, ...]


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    body = json.dumps(sorted(scope["state"]["permissions"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def identified(app: ASGIApp) -> ASGIApp:
    """Stand in for authentication: believe the header ``roles``; without it there is no principal."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"roles":
                roles = tuple(value.decode().split(",")) if value else ()
                scope.setdefault("state", {})["principal"] = Caller(roles)
        await app(scope, receive, send)

    return wrapped


def guarded(required: frozenset[str], **options: Any) -> ASGIApp:
    return identified(Authorization(echo, required=required, roles=ROLES, **options))


@pytest.mark.parametrize(
    ("required", "roles", "status"),
    [
        ({READ}, "customer", 200),
        ({READ}, "support", 200),
        ({WRITE}, "support", 403),
        ({READ, WRITE}, "customer", 200),
        ({READ, WRITE}, "support", 403),
        ({READ, WRITE}, "support,writer", 200),
        ({READ}, "", 403),
        ({READ}, "nobody-knows", 403),
        ({READ}, "nobody-knows,support", 200),
        ({READ}, "Support", 403),
        ({READ}, "orders:read", 403),
        ({"invoices:read"}, "customer", 403),
        (set(), "", 200),
    ],
)
def test_every_required_permission_is_needed_and_unknown_roles_grant_none(
    required: set[str], roles: str, status: int
) -> None:
    with serve(guarded(frozenset(required))) as url:
        response = httpx2.get(url, headers={"roles": roles})

    assert status == response.status_code


def test_a_refusal_does_not_tell_what_is_missing() -> None:
    with serve(guarded(frozenset({"secrets:rotate"}))) as url:
        response = httpx2.get(url, headers={"roles": "customer"})

    assert response.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "permission_denied",
    }
    assert "secrets" not in str(response.headers)


def test_without_a_principal_nobody_gets_in() -> None:
    for required in (frozenset({READ}), frozenset()):
        with serve(guarded(required)) as url:
            response = httpx2.get(url)
        assert response.status_code == 403


async def test_without_any_state_nobody_gets_in() -> None:
    assert [m["status"] for m in await called({"type": "http"}) if "status" in m] == [403]


def test_the_permissions_reach_the_application() -> None:
    with serve(guarded(frozenset({READ}))) as url:
        response = httpx2.get(url, headers={"roles": "customer,nobody-knows"})

    assert response.json() == [READ, WRITE]


def test_the_principal_may_be_looked_up_elsewhere() -> None:
    with serve(guarded(frozenset({READ}), principal=lambda _scope: Caller(("support",)))) as url:
        assert httpx2.get(url).status_code == 200


def test_the_refusal_can_be_answered_by_somebody_else_who_knows_what_was_required() -> None:
    refused: list[PermissionDenied] = []

    async def refuse(_scope: Scope, _receive: Receive, send: Send, error: PermissionDenied) -> None:
        refused.append(error)
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with serve(guarded(frozenset({WRITE}), refuse=refuse)) as url:
        assert httpx2.get(url, headers={"roles": "support"}).status_code == 404

    assert [frozenset({WRITE})] == [error.required for error in refused]


async def called(scope: Scope, passed: list[str] | None = None) -> list[Message]:
    """Call the guard without a server and return what it sent."""
    sent: list[Message] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        if passed is not None:
            passed.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    await Authorization(app, required=frozenset({READ}), roles=ROLES)(scope, receive, send)
    return sent


async def test_a_websocket_is_refused_and_a_lifespan_passes() -> None:
    passed: list[str] = []

    assert await called({"type": "websocket"}, passed) == [{"type": "websocket.close", "code": 1008}]
    assert await called({"type": "lifespan"}, passed) == []
    assert passed == ["lifespan"]


@pytest.mark.parametrize("text", [READ, "a:b", "order-items:bulk_write", "v2:read", f"{'r' * 64}:{'a' * 64}"])
def test_a_permission_is_a_resource_and_an_action(text: str) -> None:
    assert text == parse_permission(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "orders:",
        ":read",
        "orders:read:all",
        "Orders:read",
        "orders:Read",
        "orders:*",
        "*:*",
        "orders :read",
        "orders:read\n",
        "2orders:read",
        "-orders:read",
        "örders:read",
        f"{'r' * 65}:a",
        f"r:{'a' * 65}",
    ],
)
def test_what_is_no_permission_is_refused_everywhere(text: str) -> None:
    with pytest.raises(ValueError, match="a permission is resource:action"):
        parse_permission(text)
    with pytest.raises(ValueError, match="a permission is resource:action"):
        Roles({"role": frozenset({text})})
    with pytest.raises(ValueError, match="a permission is resource:action"):
        guarded(frozenset({text}))


def test_a_role_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a name"):
        Roles({"": frozenset({READ})})


def test_the_table_cannot_be_changed_from_outside() -> None:
    mapping = {"support": frozenset({READ})}
    roles = Roles(mapping)
    mapping["support"] = frozenset({WRITE})

    assert roles.permissions(("support",)) == {READ}


def test_combinations_are_remembered_up_to_a_bound_and_the_least_recently_used_goes() -> None:
    roles = Roles({"support": frozenset({READ})}, cache_size=2)
    first = roles.permissions(("support", "first"))
    roles.permissions(("support", "second"))

    assert first is roles.permissions(("support", "first"))
    roles.permissions(("support", "third"))
    assert list(roles._cache) == [("support", "first"), ("support", "third")]

"""The service as the gauntlet runs it: whole, with switches among its guards.

``outage`` stands outside of the unit of work and takes the database away; ``sabotage`` stands where the handler is: it
raises, hangs, fails after it, or reaches for what no handler may have. They listen to a header that carries a secret of
this run, and do nothing without it.

Two guards remember who called and how it went: the rate, and the stage. What one attack provokes would answer the next
one, and a route that may be called once a day could not be attacked at all. So a request with that header goes round
the two, but for those that say that they are about one of them. A request without it passes every guard.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import socket
import subprocess
import sys
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.components import Components
    from app.main import Grants, Guard
    from app.patterns.graceful_shutdown import Lifecycle
    from app.patterns.guarded_http import HttpGuard
    from app.patterns.process_locks import ProcessLocks
    from app.policy import RoutePolicy
    from app.settings import Settings

HEADER = b"x-gauntlet"
CANARY = "canary-of-the-gauntlet-5f1c"
"""Stands in what is raised; it must reach the log and no client."""

REMEMBERING = frozenset({"rate_limit", "stage"})
"""The guards that an order of the same name leads through; without it they are gone round."""

_away: ContextVar[bool] = ContextVar("database_away", default=False)


class NoFile(Exception):
    """What SQLite says of a file that is not there."""

    sqlite_errorname = "SQLITE_CANTOPEN"


class NoServer(Exception):
    """What PostgreSQL's driver says of a connection that broke."""

    sqlstate = "08006"


def _refuse_when_away(connection: Any, *_arguments: Any) -> None:
    if _away.get():
        kind = NoFile if connection.dialect.name == "sqlite" else NoServer
        raise OperationalError("BEGIN", {}, kind("the database does not answer"))


def orders_of(scope: Scope, secret: str) -> frozenset[str] | None:
    """Return what the gauntlet ordered for this request; None: it is not the gauntlet's."""
    for name, value in scope["headers"]:
        if name == HEADER:
            given, _, orders = value.decode("latin-1").partition(":")
            if hmac.compare_digest(given.encode(), secret.encode()):
                return frozenset(orders.split())
    return None


class Round:
    """Leads a request round a guard that remembers, unless it is about that guard."""

    def __init__(self, guarded: ASGIApp, app: ASGIApp, name: str, secret: str) -> None:
        self._guarded, self._app, self._name, self._secret = guarded, app, name, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        orders = orders_of(scope, self._secret)
        app = self._guarded if orders is None or self._name in orders else self._app
        await app(scope, receive, send)


class Outage:
    """Takes the database away for the requests that ask for it."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _away.set("no-database" in (orders_of(scope, self._secret) or ()))
        try:
            await self._app(scope, receive, send)
        finally:
            _away.reset(token)


class Sabotage:
    """Stands where the handler is."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        orders = orders_of(scope, self._secret) or frozenset()
        if "raise" in orders:
            raise RuntimeError(CANARY)
        if "hang" in orders:
            await asyncio.Event().wait()
        if "closed-circuits" in orders:
            for name in scope["app"].state.upstreams.names:
                scope["app"].state.upstreams.pipeline(name).breaker.reset()
        for name in ESCAPES.keys() & orders:
            ESCAPES[name]()
        if "reach" in orders or ESCAPES.keys() & orders:
            await JSONResponse(await _within_reach(scope))(scope, receive, send)
            return
        if "raise-after" not in orders:
            await self._app(scope, receive, send)
            return

        async def swallow(_message: Message) -> None:
            """The handler has done its work; its answer is lost."""

        await self._app(scope, receive, swallow)
        raise RuntimeError(CANARY)


def _start_a_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=False)


def _connect() -> None:
    with contextlib.suppress(ConnectionError):  # nobody listens there: then it was tried
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()


ESCAPES: dict[str, Callable[[], object]] = {
    "open-a-file": Path("/etc/passwd").read_bytes,
    "start-a-process": _start_a_process,
    "run-a-text-as-code": lambda: eval("1 + 1"),
    "connect-to-an-address": _connect,
}
"""What a handler that was talked into it would do, by the order that has it done."""


async def _within_reach(scope: Scope) -> dict[str, Any]:
    """Return what the guards hand to the handler: whether there is a database, and which services it may call."""
    from app.upstreams import DECLARED, CallContext, OutboundNotAllowed

    allowed = []
    for kind in DECLARED:
        with contextlib.suppress(OutboundNotAllowed):
            scope["app"].state.upstreams.client(kind, CallContext.of(scope))
            allowed.append(kind.upstream.name)
    session = scope["state"].get("session")
    if session is not None:
        await session().execute(text("SELECT 1"))
    return {"session": session is not None, "outbound": sorted(allowed)}


def create(
    *,
    lifecycle: Lifecycle,
    http_guard: HttpGuard,
    locks: ProcessLocks,
    without: str | None,
    candidates: str | None,
    facts: str,
) -> ASGIApp:
    """Compose the service with the switches, and write down what its routes are."""
    import app.handlers
    from app.main import EDGE, GUARDS, Guard, create_app
    from app.settings import load_settings

    if candidates is not None:
        app.handlers.__path__.append(candidates)
    secret = os.environ["GAUNTLET_SECRET"]
    event.listen(Engine, "before_cursor_execute", _refuse_when_away)
    edge = tuple(layer for layer in EDGE if layer.name != without)
    guards = [_gone_round(guard, secret) for guard in GUARDS if guard.name != without]
    if without is not None and len(edge) + len(guards) != len(EDGE) + len(GUARDS) - 1:
        raise SystemExit(f"there is no layer or guard named {without!r}")
    place = next((index for index, guard in enumerate(guards) if guard.name == "unit_of_work"), len(guards))
    guards.insert(place, Guard("outage", lambda inner, *_: Outage(inner, secret)))
    guards.append(Guard("sabotage", lambda inner, *_: Sabotage(inner, secret)))
    settings = load_settings()
    composed = create_app(
        settings, lifecycle=lifecycle, http_guard=http_guard, locks=locks, edge=edge, guards=tuple(guards)
    )
    if candidates is not None:
        create_missing_tables(settings)
    Path(facts).write_text(json.dumps(describe(settings)), "utf-8")
    return composed


def _gone_round(guard: Guard, secret: str) -> Guard:
    """Return a guard that remembers with a way round it; any other as it is."""
    if guard.name not in REMEMBERING:
        return guard

    def build(app: ASGIApp, policy: RoutePolicy, parts: Components, grants: Grants) -> ASGIApp:
        guarded = guard.build(app, policy, parts, grants)
        return guarded if guarded is app else Round(guarded, app, guard.name, secret)

    return replace(guard, build=build)


def describe(settings: Settings) -> list[dict[str, Any]]:
    """Return every route with what its policy says and what its handler uses."""
    from app.definition import asks_for, read_definition
    from app.dependencies import look_of, outbox_of, session_of
    from app.patterns.rate_limit import parse_rate

    definition = read_definition(settings)
    described = []
    for handler in definition.handlers:
        entry = definition.policy.find(handler.route.method, handler.route.path)
        assert entry is not None
        rates = [(item.amount, float(item.get_expiry())) for item in parse_rate(entry.rate)] if entry.rate else []
        described.append(
            {
                "method": handler.route.method,
                "path": handler.route.path,
                "file": handler.route.file,
                "line": handler.route.line,
                "public": entry.public,
                "allow": sorted(entry.allow),
                "rate": min(rates, default=None),
                "timeout": entry.timeout,
                "max_body": entry.max_body,
                "body_timeout": entry.body_timeout,
                "idempotency": entry.idempotency,
                "outbound": sorted(entry.outbound),
                "session": any(asks_for(handler, wanted) for wanted in (session_of, look_of, outbox_of)),
                "owned": _owned_tables(handler.context.endpoint),
                "own": handler.route.file.startswith("app/health"),
            }
        )
    return described


def _owned_tables(endpoint: Any) -> list[str]:
    """Return the tables of models that belong to somebody which a handler names, or a function of its module."""
    from app.models.base import Owned

    seen: set[Any] = set()
    tables: set[str] = set()
    waiting = [getattr(endpoint, "__wrapped__", endpoint)]
    while waiting and len(seen) < 50:
        function = waiting.pop()
        code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
        if code is None or code in seen:
            continue
        seen.add(code)
        found = [names.get(name) for name in code.co_names]
        owned = [value for value in found if isinstance(value, type) and issubclass(value, Owned)]
        tables.update(str(model.__dict__["__tablename__"]) for model in owned if "__tablename__" in model.__dict__)
        waiting += [value for value in found if getattr(value, "__module__", None) == endpoint.__module__]
    return sorted(tables)


def create_missing_tables(settings: Settings) -> None:
    """Make the tables of models that no migration knows yet, those of a candidate, with rows guarded as all are."""
    from app.database.schema import as_owner, owned_tables, prepare_service_role
    from app.models.base import Base
    from app.patterns.row_security import enable_statements

    with as_owner(settings) as connection:
        known = set(inspect(connection).get_table_names())
        Base.metadata.create_all(connection)
        if connection.dialect.name == "postgresql":
            for name in sorted(owned_tables() - known):
                for sql in enable_statements(name):
                    connection.exec_driver_sql(sql)
            prepare_service_role(connection, settings)


def main() -> int:
    """Migrate, and serve on a port of the system's choice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--without")
    parser.add_argument("--candidates")
    parser.add_argument("--facts", required=True)
    options = parser.parse_args()
    from app.cli import migrate_in_development
    from app.server import config_of, serve
    from app.settings import load_settings

    settings = load_settings()
    migrate_in_development(settings)
    arguments = {"without": options.without, "candidates": options.candidates, "facts": options.facts}
    return serve("tests.gauntlet.serve:create", port=0, arguments=arguments, config=config_of(settings))


if __name__ == "__main__":
    sys.exit(main())

"""The service as the gauntlet runs it: whole, with two switches inside of its guards that break what is behind them.

``outage`` stands outside of the unit of work and takes the database away; ``sabotage`` stands where the handler is, and
raises, hangs or fails after it. Both listen to a header that carries a secret of this run, and do nothing without it.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.patterns.graceful_shutdown import Lifecycle
    from app.patterns.guarded_http import HttpGuard

HEADER = b"x-gauntlet"
CANARY = "canary-of-the-gauntlet-5f1c"
"""Stands in what is raised; it must reach the log and no client."""

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


def order_of(scope: Scope, secret: str) -> str:
    """Return what the gauntlet ordered for this request, or nothing."""
    for name, value in scope["headers"]:
        if name == HEADER:
            given, _, order = value.decode("latin-1").partition(":")
            if hmac.compare_digest(given, secret):
                return str(order)
    return ""


class Outage:
    """Takes the database away for the requests that ask for it."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _away.set(order_of(scope, self._secret) == "no-database")
        try:
            await self._app(scope, receive, send)
        finally:
            _away.reset(token)


class Sabotage:
    """Stands where the handler is."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        order = order_of(scope, self._secret)
        if order == "raise":
            raise RuntimeError(CANARY)
        if order == "closed-circuits":
            for name in scope["app"].state.upstreams.names:
                scope["app"].state.upstreams.pipeline(name).breaker.reset()
        if order == "hang":
            await asyncio.Event().wait()
        if order != "raise-after":
            await self._app(scope, receive, send)
            return

        async def swallow(_message: Message) -> None:
            """The handler has done its work; its answer is lost."""

        await self._app(scope, receive, swallow)
        raise RuntimeError(CANARY)


def create(
    *, lifecycle: Lifecycle, http_guard: HttpGuard, without: str | None, candidates: str | None, facts: str
) -> ASGIApp:
    """Compose the service with the two switches, and write down what its routes are."""
    import app.handlers
    from app.main import EDGE, GUARDS, Guard, create_app
    from app.settings import load_settings

    if candidates is not None:
        app.handlers.__path__.append(candidates)
    secret = os.environ["GAUNTLET_SECRET"]
    event.listen(Engine, "before_cursor_execute", _refuse_when_away)
    edge = tuple(layer for layer in EDGE if layer.name != without)
    # Without quarantine: what fails because it is attacked would be out of service, and pass every attack after that.
    known = [guard for guard in GUARDS if guard.name != "stage"]
    guards = [guard for guard in known if guard.name != without]
    if without is not None and len(edge) + len(guards) != len(EDGE) + len(known) - 1:
        raise SystemExit(f"there is no layer or guard named {without!r}")
    place = next((index for index, guard in enumerate(guards) if guard.name == "unit_of_work"), len(guards))
    guards.insert(place, Guard("outage", lambda inner, *_: Outage(inner, secret)))
    guards.append(Guard("sabotage", lambda inner, *_: Sabotage(inner, secret)))
    settings = load_settings()
    composed = create_app(settings, lifecycle=lifecycle, http_guard=http_guard, edge=edge, guards=tuple(guards))
    if candidates is not None:
        create_missing_tables(settings)
    Path(facts).write_text(json.dumps(describe(settings)), "utf-8")
    return composed


def describe(settings: Any) -> list[dict[str, Any]]:
    """Return every route with what its policy says and what its handler uses."""
    from app.definition import asks_for, read_definition
    from app.dependencies import session_of
    from app.patterns.rate_limit import parse_rate

    definition = read_definition(settings)
    described = []
    for handler in definition.handlers:
        entry = definition.policy.find(handler.route.method, handler.route.path)
        assert entry is not None
        described.append(
            {
                "method": handler.route.method,
                "path": handler.route.path,
                "file": handler.route.file,
                "line": handler.route.line,
                "public": entry.public,
                "allow": sorted(entry.allow),
                "rate": min((item.amount for item in parse_rate(entry.rate)), default=None) if entry.rate else None,
                "timeout": entry.timeout,
                "max_body": entry.max_body,
                "body_timeout": entry.body_timeout,
                "idempotency": entry.idempotency,
                "outbound": sorted(entry.outbound),
                "session": asks_for(handler, session_of),
                "owned": _names_owned(handler.context.endpoint),
                "own": handler.route.file.startswith("app/health"),
            }
        )
    return described


def _names_owned(endpoint: Any) -> bool:
    """Tell whether a handler, or a function of its module that it calls, names a model that belongs to somebody."""
    from app.models.base import Owned

    seen: set[Any] = set()
    waiting = [getattr(endpoint, "__wrapped__", endpoint)]
    while waiting and len(seen) < 50:
        function = waiting.pop()
        code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
        if code is None or code in seen:
            continue
        seen.add(code)
        found = [names.get(name) for name in code.co_names]
        if any(isinstance(value, type) and issubclass(value, Owned) for value in found):
            return True
        waiting += [value for value in found if getattr(value, "__module__", None) == endpoint.__module__]
    return False


def create_missing_tables(settings: Any) -> None:
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

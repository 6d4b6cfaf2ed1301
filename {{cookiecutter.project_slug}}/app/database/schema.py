"""The schema as it is and as it should be: which revision, whose tables, and what keeps a database from being used.

Nothing here needs Alembic, so that a service that is up to date starts without it.
"""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, create_engine, event, inspect, text

from app.database.urls import database_url, owner_url, service_url, signing_key
from app.models import Base, Owned, load_models
from app.models.base import IDEMPOTENCY, OUTBOX
from app.patterns import row_security
from app.settings import ROOT, BootRefused, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import MetaData

MIGRATIONS: Final = ROOT / "migrations" / "versions"

QUEUE_TABLES: Final = (
    "procrastinate_jobs",
    "procrastinate_events",
    "procrastinate_workers",
    "procrastinate_periodic_defers",
)
"""Procrastinate's, which are the service's own: row security lets nobody else see or write them (PostgreSQL)."""

_LOCK: Final = 0x627265616B77  # a number of our own for pg_advisory_xact_lock
LOCK_TIMEOUT: Final = 60_000
"""Milliseconds that a migration waits for another one, or for the requests that use a table, before it gives up."""


def metadata() -> MetaData:
    """Return the tables of every model."""
    load_models()
    return Base.metadata


def owned_tables() -> set[str]:
    """Return the names of the tables whose rows belong to somebody."""
    load_models()
    return {mapper.local_table.name for mapper in Base.registry.mappers if issubclass(mapper.class_, Owned)}  # type: ignore[attr-defined]


def protected_tables() -> set[str]:
    """Return the names of the tables that row security has to guard."""
    return owned_tables() | {IDEMPOTENCY.name, OUTBOX.name, *QUEUE_TABLES}


def current(connection: Connection) -> str | None:
    """Return the revision that a database is at."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def revisions() -> dict[str, tuple[str, ...]]:
    """Return each revision that this code has, with those that come right before it; read, not imported.

    Raises:
        BootRefused: a file of migrations/versions says neither.
    """
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(MIGRATIONS.glob("*.py")):
        names: dict[str, Any] = {}
        try:
            for node in ast.parse(file.read_text("utf-8")).body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    with contextlib.suppress(ValueError):
                        names[node.targets[0].id] = ast.literal_eval(node.value)
            before = names["down_revision"]
            found[names["revision"]] = (before,) if isinstance(before, str) else tuple(before or ())
        except (SyntaxError, ValueError, KeyError) as error:
            raise BootRefused([f"{file.relative_to(ROOT)}:1: no migration: it names no revision"]) from error
    return found


def head() -> str | None:
    """Return the newest revision that this code has.

    Raises:
        BootRefused: there are two that nothing follows.
    """
    known = revisions()
    heads = sorted(known.keys() - {before for parents in known.values() for before in parents})
    if len(heads) > 1:
        raise BootRefused([f"migrations/versions: nothing follows {' and '.join(heads)}; let one follow the other"])
    return heads[0] if heads else None


def ancestors(revision: str | None) -> set[str]:
    """Return a revision and everything before it; nothing for one that this code does not know."""
    known, found = revisions(), set()
    todo = [revision] if revision in known else []
    while todo:
        name = todo.pop()
        if name is not None and name not in found:
            found.add(name)
            todo.extend(known.get(name, ()))
    return found


def is_up_to_date(settings: Settings) -> bool:
    """Tell whether there is nothing to migrate; if so, see to the serving role, whose settings may have changed.

    Who was given the URL of a role that may serve, and no owner's, can see to nothing: it has its rights already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away.
    """
    with as_owner(settings) as connection:
        if current(connection) != head():
            return False
        if connection.dialect.name == "postgresql" and row_security.service_role_problems(connection):
            prepare_service_role(connection, settings)
    return True


def problems(connection: Connection, *, production: bool) -> list[str]:
    """Return what keeps the service from using this database; a line each, with what to do."""
    found = []
    at, newest = current(connection), head()
    if at != newest:
        known = at is None or at in ancestors(newest)
        what = f"the database is at revision {at or 'nothing'}, this code needs {newest}"
        todo = "run `app migrate`" if known else "it is newer than this code: deploy the code that belongs to it"
        found.append(f"APP_DATABASE_URL: {what}; {todo}")
    if connection.dialect.name == "postgresql":
        if production:
            judged = row_security.service_role_problems(connection) or row_security.temporary_table_problems(connection)
            found += [f"APP_DATABASE_URL: {problem}" for problem in judged]
        if at == newest:
            bare = row_security.unprotected_tables(connection, sorted(protected_tables()))
            found += [
                f"table {name}: has no forced row security; protect it in a migration: op.protect_rows({name!r})"
                for name in bare
            ]
    return found


def prepare_service_role(connection: Connection, settings: Settings) -> None:
    """Give the database the key that signs callers, and the serving role its rights; both may have changed."""
    serving = database_url(settings)
    if settings.database_owner_url is None or serving.username == connection.engine.url.username:
        serving = service_url(connection.engine.url)
        _make_role(connection, serving)
    row_security.set_key(connection, signing_key(settings))
    row_security.grant(connection, serving.username or "")


def _make_role(connection: Connection, url: URL) -> None:
    """Make the role that development serves with, or bring its password up to date."""
    quoted = connection.dialect.identifier_preparer.quote(url.username or "")
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": url.username})
    made = f"ALTER ROLE {quoted}" if exists else f"CREATE ROLE {quoted} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
    # The password is hexadecimal, made by us: a role's cannot be a bind parameter.
    connection.exec_driver_sql(f"{made} PASSWORD '{url.password}'")


@contextlib.contextmanager
def as_owner(settings: Settings) -> Iterator[Connection]:
    """Yield a connection of the owner's in a transaction that no other migration shares."""
    url = owner_url(settings)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        engine = create_engine(url.set(drivername="sqlite"), connect_args={"timeout": LOCK_TIMEOUT / 1000})
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        options = {"connect_timeout": settings.database_connect_timeout, "options": f"-c lock_timeout={LOCK_TIMEOUT}"}
        engine = create_engine(url, connect_args=options)
    try:
        with engine.begin() as connection:
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
    finally:
        engine.dispose()


def _sqlite_connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")

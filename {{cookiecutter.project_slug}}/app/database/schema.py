"""The schema: migrations forward and back, and whether what is there is what this code needs.

Migrations run as the owner of the tables, in one transaction on either database, and one at a time whatever machines
start together. On PostgreSQL they end with what does not belong into a migration, because it follows from settings: the
key that signs callers, and the role that serves.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import alembic.command
from alembic.autogenerate import renderers
from alembic.config import Config
from alembic.operations import MigrateOperation, Operations, ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event, text

from app.database.urls import database_url, owner_url, service_url, signing_key
from app.models import Base, Owned, load_models
from app.models.base import IDEMPOTENCY
from app.patterns import row_security
from app.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import MetaData

_LOCK: Final = 0x627265616B77  # a number of our own for pg_advisory_xact_lock
logging.getLogger("alembic").setLevel(logging.WARNING)  # which revision came after which is said by the command

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
    return owned_tables() | {IDEMPOTENCY.name}


def migrate(settings: Settings, revision: str = "head") -> list[str]:
    """Bring the database to a revision, up or down, and return the revisions that it went through.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away, or a migration failed; nothing of it was kept.
    """
    with _owner(settings) as connection:
        before = current(connection)
        config = _config(connection)
        going_down = revision != "head" and revision in {*_ancestors(before), "base"}
        (alembic.command.downgrade if going_down else alembic.command.upgrade)(config, revision)
        after = current(connection)
        if connection.dialect.name == "postgresql" and after is not None:
            prepare_service_role(connection, settings)
    return [] if before == after else [before or "empty", after or "empty"]


def new_migration(settings: Settings, name: str) -> str | None:
    """Write a migration for what differs between the models and the database; return its file, None if nothing does.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away.
        alembic.util.exc.CommandError: the database is not at the newest revision.
    """
    with _owner(settings) as connection:
        script = alembic.command.revision(_config(connection), name, autogenerate=True)
    return None if script is None or isinstance(script, list) else script.path


def current(connection: Connection) -> str | None:
    """Return the revision that a database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """Return the newest revision that this code has."""
    return _scripts().get_current_head()


def problems(connection: Connection, *, production: bool) -> list[str]:
    """Return what keeps the service from using this database; a line each, with what to do."""
    found = []
    at, newest = current(connection), head()
    if at != newest:
        known = at is None or at in _ancestors(newest)
        what = f"the database is at revision {at or 'nothing'}, this code needs {newest}"
        todo = "run `app migrate`" if known else "it is newer than this code: deploy the code that belongs to it"
        found.append(f"APP_DATABASE_URL: {what}; {todo}")
    if connection.dialect.name == "postgresql":
        if production:
            found += [f"APP_DATABASE_URL: {problem}" for problem in row_security.service_role_problems(connection)]
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
def _owner(settings: Settings) -> Iterator[Connection]:
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


def _config(connection: Connection | None = None) -> Config:
    config = Config(str(ROOT / "alembic.ini"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _ancestors(revision: str | None) -> set[str]:
    """Return a revision and everything before it; nothing for one that this code does not know."""
    scripts = _scripts()
    if revision is None or revision not in {script.revision for script in scripts.walk_revisions()}:
        return set()
    return {script.revision for script in scripts.iterate_revisions(revision, "base")}


@Operations.register_operation("protect_rows")
class ProtectRows(MigrateOperation):
    """Put a table under row security (PostgreSQL); elsewhere nothing is done.

    Args:
        table: its name; it has the columns of ``Owned``, or of the idempotency records.
    """

    def __init__(self, table: str) -> None:
        self.table = table

    @classmethod
    def protect_rows(cls, operations: Operations, table: str) -> None:
        """Run it in a migration: ``op.protect_rows("orders")``."""
        operations.invoke(cls(table))

    def reverse(self) -> MigrateOperation:
        """Return nothing to do: with its table its policy goes too."""
        return ops.UpgradeOps([])


@Operations.implementation_for(ProtectRows)
def _protect(operations: Operations, operation: ProtectRows) -> None:
    connection = operations.get_bind()
    if connection.dialect.name == "postgresql":
        for sql in _protecting(operation.table):
            connection.exec_driver_sql(sql)


def _protecting(table: str) -> list[str]:
    if table == IDEMPOTENCY.name:
        return row_security.enable_statements(table, visible=row_security.PRINCIPAL, writable=row_security.PRINCIPAL)
    return row_security.enable_statements(table)


@Operations.register_operation("install_row_security")
class InstallRowSecurity(MigrateOperation):
    """Make what row security stands on (PostgreSQL): its schema, the place of its key, its functions."""

    @classmethod
    def install_row_security(cls, operations: Operations) -> None:
        """Run it in the first migration: ``op.install_row_security()``."""
        operations.invoke(cls())


@Operations.implementation_for(InstallRowSecurity)
def _install(operations: Operations, _operation: InstallRowSecurity) -> None:
    connection = operations.get_bind()
    if connection.dialect.name == "postgresql":
        for sql in row_security.install_statements():
            connection.exec_driver_sql(sql)


@Operations.register_operation("remove_row_security")
class RemoveRowSecurity(MigrateOperation):
    """Take back what :class:`InstallRowSecurity` made."""

    @classmethod
    def remove_row_security(cls, operations: Operations) -> None:
        """Run it in the first migration's downgrade: ``op.remove_row_security()``."""
        operations.invoke(cls())


@Operations.implementation_for(RemoveRowSecurity)
def _remove(operations: Operations, _operation: RemoveRowSecurity) -> None:
    connection = operations.get_bind()
    if connection.dialect.name == "postgresql":
        for sql in row_security.uninstall_statements():
            connection.exec_driver_sql(sql)


def add_row_security(_context: object, _revision: object, directives: list[Any]) -> None:
    """Have a new migration protect every table of ``Owned`` rows that it makes; an empty one is not written."""
    script = directives[0]
    if script.upgrade_ops.is_empty():
        directives.clear()
        return
    made = [item.table_name for item in script.upgrade_ops.ops if isinstance(item, ops.CreateTableOp)]
    script.upgrade_ops.ops += [ProtectRows(table) for table in made if table in protected_tables()]


@renderers.dispatch_for(ProtectRows)
def _render(_context: object, operation: ProtectRows) -> str:
    return f"op.protect_rows({operation.table!r})"

"""Migrations, forward and back, by Alembic; what they need to know of row security is an operation of its own.

They run as the owner of the tables, in one transaction on either database, and one at a time whatever machines start
together. On PostgreSQL they end with what does not belong into a migration, because it follows from settings: the key
that signs callers, and the role that serves.
"""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

logging.getLogger("alembic").setLevel(logging.WARNING)  # which revision came after which is said by the command

import alembic.command  # noqa: E402 - after its logger was told to be quiet: it speaks while it is imported
from alembic.autogenerate import renderers  # noqa: E402
from alembic.config import Config  # noqa: E402
from alembic.operations import MigrateOperation, Operations, ops  # noqa: E402
from sqlalchemy.types import TypeDecorator  # noqa: E402

from app.database.schema import (  # noqa: E402
    QUEUE_TABLES,
    ancestors,
    as_owner,
    current,
    prepare_service_role,
    protected_tables,
)
from app.models.base import IDEMPOTENCY, OUTBOX  # noqa: E402
from app.patterns import row_security  # noqa: E402
from app.settings import ROOT, Settings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection


def migrate(settings: Settings, revision: str = "head") -> list[str]:
    """Bring the database to a revision, up or down, and return the revisions that it went through.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away, or a migration failed; nothing of it was kept.
    """
    with as_owner(settings) as connection:
        before = current(connection)
        config = _config(connection)
        going_down = revision != "head" and revision in {*ancestors(before), "base"}
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
    with as_owner(settings) as connection:
        script = alembic.command.revision(_config(connection), name, autogenerate=True)
    return None if script is None or isinstance(script, list) else script.path


def _config(connection: Connection) -> Config:
    config = Config(str(ROOT / "alembic.ini"))
    config.attributes["connection"] = connection
    return config


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
    if table == OUTBOX.name or table in QUEUE_TABLES:
        return row_security.enable_statements(table, visible=row_security.SERVICE, writable=row_security.SERVICE)
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


@Operations.register_operation("install_queue")
class InstallQueue(MigrateOperation):
    """Make procrastinate's tables and functions (PostgreSQL), for the service itself and for nobody else."""

    @classmethod
    def install_queue(cls, operations: Operations) -> None:
        """Run it in a migration: ``op.install_queue()``."""
        operations.invoke(cls())


@Operations.implementation_for(InstallQueue)
def _install_queue(operations: Operations, _operation: InstallQueue) -> None:
    connection = operations.get_bind()
    if connection.dialect.name != "postgresql":
        return
    # Its SQL is many statements in one text, and has percent signs: straight to the driver, without parameters.
    raw: Any = connection.connection.driver_connection
    raw.execute(files("procrastinate").joinpath("sql", "schema.sql").read_text("utf-8"))
    for table in QUEUE_TABLES:
        for sql in _protecting(table):
            connection.exec_driver_sql(sql)


@Operations.register_operation("remove_queue")
class RemoveQueue(MigrateOperation):
    """Take back what :class:`InstallQueue` made, with every job that is in it."""

    @classmethod
    def remove_queue(cls, operations: Operations) -> None:
        """Run it in a migration's downgrade: ``op.remove_queue()``."""
        operations.invoke(cls())


@Operations.implementation_for(RemoveQueue)
def _remove_queue(operations: Operations, _operation: RemoveQueue) -> None:
    connection = operations.get_bind()
    if connection.dialect.name == "postgresql":
        raw: Any = connection.connection.driver_connection
        raw.execute(_REMOVE_QUEUE)


_REMOVE_QUEUE = """
DO $$
DECLARE thing record;
BEGIN
    FOR thing IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE proname LIKE 'procrastinate!_%' ESCAPE '!' AND pronamespace = 'public'::regnamespace
    LOOP
        EXECUTE 'DROP FUNCTION ' || thing.name || ' CASCADE';
    END LOOP;
    DROP TABLE procrastinate_periodic_defers, procrastinate_events, procrastinate_jobs, procrastinate_workers CASCADE;
    DROP TYPE procrastinate_job_status, procrastinate_job_event_type, procrastinate_job_to_defer_v1 CASCADE;
END $$
"""


def of_the_service(name: str | None, kind: str, parent: Mapping[Any, str | None]) -> bool:
    """Tell a new migration what it compares with the models: procrastinate's tables are its own."""
    return (name if kind == "table" else parent.get("table_name")) not in QUEUE_TABLES


def render_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Have a new migration name the database's type where a model has one of ours, such as ``UtcDateTime``.

    A migration stays as it is while the service's types change; and it imports nothing of the service.
    """
    if kind == "type" and isinstance(item, TypeDecorator) and type(item).__module__.startswith("app."):
        return f"sa.{item.impl!r}"
    return False


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

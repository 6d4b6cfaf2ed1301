"""Where the service under attack keeps what it has, and what stands there: a file, or a database of a real server."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres_server import PostgresServer

Rows = dict[str, list[tuple[Any, ...]]]

_BOOKKEEPING: Final = frozenset({"alembic_version", "idempotency_record"})
_QUEUE: Final = "procrastinate_"
_MESSAGES: Final = "procrastinate_jobs"
"""Of the queue's tables the one that holds what is to be done; the others say how it goes."""


class Store(Protocol):
    """A database of the service's own.

    Attributes:
        url: what the service is told.
    """

    @property
    def url(self) -> str: ...

    def rows(self) -> Rows:
        """Return every row of every table that is the service's own."""


class SqliteStore:
    """A file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "gauntlet.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self._file}"

    def rows(self) -> Rows:
        with contextlib.closing(sqlite3.connect(self._file, timeout=10)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                table: sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)
                for table in tables
                if table not in _BOOKKEEPING and not table.startswith("sqlite_")
            }


class PostgresStore:
    """A database of a server, looked at by a superuser, whom no row security binds."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server, self._name = server, name
        self._engine = create_engine(server.superuser_url(name), isolation_level="AUTOCOMMIT")

    @property
    def url(self) -> str:
        return self._server.url(self._name)

    def rows(self) -> Rows:
        with self._engine.connect() as connection:
            tables = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").scalars()
            return {
                table: sorted(map(tuple, connection.exec_driver_sql(f'SELECT * FROM "{table}"')), key=repr)
                for table in tables.all()
                if table == _MESSAGES or (table not in _BOOKKEEPING and not table.startswith(_QUEUE))
            }

    def close(self) -> None:
        self._engine.dispose()


@contextlib.contextmanager
def store_of(folder: Path, postgres: PostgresServer | None) -> Iterator[Store]:
    """Yield an empty database: of this server, or without one a file of this folder."""
    if postgres is None:
        yield SqliteStore(folder)
        return
    name = postgres.create_database()
    try:
        with contextlib.closing(PostgresStore(postgres, name)) as store:
            yield store
    finally:
        postgres.drop_database(name)

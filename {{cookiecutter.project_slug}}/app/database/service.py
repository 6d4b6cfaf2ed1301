"""The database of one process: sessions for requests, transactions for the service's own work, and how it fares."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from psycopg.pq import TransactionStatus
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from app.database import schema
from app.database.engines import OF_A_REQUEST, Allowance, Engines, make_engines
from app.database.urls import database_url, service_url, signing_key
from app.models.base import IDEMPOTENCY, OUTBOX
from app.patterns import ownership
from app.patterns.idempotency_store import reap
from app.patterns.row_security import CallerProof, service_role_problems
from app.patterns.unit_of_work import OwnedSession, UnitOfWorkError, UnitSession
from app.settings import BootRefused, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import Session, SessionTransaction

    from app.patterns.ownership import OwnerScope

PROBE_SECONDS: Final = 2.0
"""Between two looks at the database, each with a bound of its own: readiness follows within twice that."""

REAP_SECONDS: Final = 60.0
REAP_BATCH: Final = 1000
"""Expired answers that are removed at a time: some milliseconds, so that nobody waits for it. What is left goes with
the
next batch, at once."""

OWN_TIMEOUT: Final = 10.0
"""Seconds that a transaction of the service's own may take; the longest of them removes a batch."""


class TransactionLost(UnitOfWorkError):
    """The transaction that a request began is over, or broken, although its handler answered with success."""

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing was committed: {why}")


class RequestSyncSession(OwnedSession):
    """What the ownership hooks hold on to; sessions of other classes are the service's own."""


ownership.guard_sessions(RequestSyncSession)
for _table in (IDEMPOTENCY.name, OUTBOX.name, *schema.QUEUE_TABLES):
    ownership.protect(_table)


class RequestSession(UnitSession):
    """The session that a handler gets."""

    sync_session_class = RequestSyncSession


@event.listens_for(RequestSyncSession, "after_begin")
def _begun(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(**{OF_A_REQUEST: True})
    begin: Callable[[Connection], None] | None = session.info.get("begin")
    if begin is not None and not transaction.nested:
        begin(connection)


class Database:
    """The one database of a process. Nothing is connected to before :meth:`start`.

    Args:
        settings: of this process.
        observe: told of each change of state, and of what was reaped.
    """

    def __init__(self, settings: Settings, observe: Callable[[str, Mapping[str, object]], None]) -> None:
        self._settings = settings
        self._observe = observe
        self._proof = CallerProof(signing_key(settings))
        self._url = database_url(settings)
        self._engines: Engines | None = None
        self._available: bool | None = None
        self._seen = 0.0

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._url.get_backend_name()

    @property
    def engines(self) -> Engines:
        """The engines.

        Raises:
            RuntimeError: the database was not started.
        """
        if self._engines is None:
            raise RuntimeError("the database is used before its start")
        return self._engines

    async def start(self) -> None:
        """Connect, and hold the schema and the role to what this code needs.

        Raises:
            BootRefused: with what is wrong, and what to do.
        """
        try:
            if self.dialect == "postgresql" and not self._settings.production:
                await self._become_the_service()
            self._engines = make_engines(self._url, self._settings)
            async with self._engines.reading.connect() as connection:
                found = await connection.run_sync(schema.problems, production=self._settings.production)
        except (SQLAlchemyError, OSError) as error:
            await self.aclose()
            reason = type(getattr(error, "orig", None) or error).__name__
            raise BootRefused([f"APP_DATABASE_URL: the database does not answer ({reason}); is it there?"]) from error
        if found:
            await self.aclose()
            raise BootRefused(found)
        self._note(available=True)

    async def _become_the_service(self) -> None:
        """Leave the owner's role behind, where development was given its URL."""
        engine = create_async_engine(
            self._url,
            poolclass=NullPool,
            connect_args={"connect_timeout": self._settings.database_connect_timeout},
        )
        async with engine.connect() as connection:
            if await connection.run_sync(service_role_problems):
                found = await connection.run_sync(schema.problems, production=False)
                if found:  # the role is made by the migrations, so it would not be there either
                    raise BootRefused(found)
                self._url = service_url(self._url)

    def session(
        self, caller: OwnerScope, *, read_only: bool, remaining: Callable[[], float | None] = lambda: None
    ) -> RequestSession:
        """Return a session for one request; it takes a connection with its first statement.

        Args:
            caller: whom the rows are for.
            read_only: give a session that cannot write.
            remaining: returns the seconds that the request has left.
        """
        engines = self.engines
        session = RequestSession(engines.reading if read_only else engines.writing)
        ownership.bind(session, caller)
        if self.dialect == "postgresql":
            session.sync_session.info["begin"] = partial(self._introduce, caller, Allowance(remaining), read_only)
        return session

    def _introduce(
        self,
        caller: OwnerScope | None,
        allowance: Allowance,
        read_only: bool,  # noqa: FBT001 - bound beforehand
        connection: Connection,
    ) -> None:
        """Tell PostgreSQL in one statement who is asking (None: the service), for how long, and whether to write."""
        reach = caller.reach if caller is not None else "service"
        subject, tenant = (caller.subject, caller.tenant) if caller is not None else ("", "")
        connection.info["allowance"] = allowance
        statement, values = self._proof.statement(
            subject=subject,
            tenant=tenant,
            reach=reach,
            statement_timeout_ms=allowance.tell(),
            read_only=read_only,
        )
        connection.execute(statement, values, execution_options={ownership.TRUSTED: True})

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Run a transaction of the service's own, apart from any request's; it commits unless the block raises."""
        end = time.monotonic() + OWN_TIMEOUT
        async with (
            asyncio.timeout(OWN_TIMEOUT),
            AsyncSession(self.engines.writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            if self.dialect == "postgresql":
                connection = await session.connection()
                allowance = Allowance(lambda: end - time.monotonic())
                await connection.run_sync(partial(self._introduce, None, allowance, False))
            yield session

    @contextlib.asynccontextmanager
    async def as_service(self, session: AsyncSession) -> AsyncIterator[AsyncConnection]:
        """Yield the connection of a request's session, as the service for as long as the block lasts (PostgreSQL).

        What is written in it belongs to the request's transaction, and passes row security as the service does.
        """
        introduce: Callable[[Connection], None] = session.sync_session.info["begin"]
        connection = await session.connection()
        statement, values = self._proof.reach("service")
        await connection.execute(statement, values, execution_options={ownership.TRUSTED: True})
        try:
            yield connection
        finally:
            # An error has broken the transaction, which takes everything back by itself. Of a connection that is gone
            # nothing is asked: what that raises would stand in the place of the error that says so.
            if not connection.invalidated:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                if raw.info.transaction_status == TransactionStatus.INTRANS:
                    await connection.run_sync(introduce)

    def introduction(self) -> tuple[str, dict[str, str]]:
        """Return what introduces a connection that is the service's own, for as long as it lasts (PostgreSQL)."""
        return self._proof.session_statement("service")

    def conninfo(self) -> str:
        """Return the URL as libpq reads it, with the password."""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def verify(self, session: UnitSession) -> None:
        """Look once more before the commit whether there still is what is to be committed.

        Raises:
            TransactionLost: the handler ended the transaction by a way of its own, or swallowed an error that broke it:
                PostgreSQL would answer the COMMIT with a ROLLBACK, and no driver calls that an error.
        """
        connection = await session.connection()
        raw: Any = (await connection.get_raw_connection()).driver_connection
        if self.dialect == "sqlite":
            if not raw.in_transaction:
                raise TransactionLost("the handler ended the transaction")
            return
        status = raw.info.transaction_status
        if status == TransactionStatus.INERROR:
            raise TransactionLost("a statement failed and the handler went on; use begin_nested() round what may fail")
        if status != TransactionStatus.INTRANS:
            raise TransactionLost("the handler ended the transaction")

    def state(self) -> Mapping[str, object]:
        """Return the state for /readyz, as it was last seen; waits for nothing."""
        if self._available is None:
            return {"state": "unavailable", "kind": self.dialect}
        age = round(time.monotonic() - self._seen, 1)
        return {"state": "ok" if self._available else "unavailable", "kind": self.dialect, "age": age}

    async def watch(self) -> None:
        """Keep looking whether the database answers, on a connection apart from those of the requests."""
        engine = create_async_engine(
            self._url,
            pool_size=1,
            max_overflow=0,
            connect_args={"timeout": 1} if self.dialect == "sqlite" else {"connect_timeout": 2},
        )
        try:
            while True:
                await asyncio.sleep(PROBE_SECONDS)
                try:
                    async with asyncio.timeout(PROBE_SECONDS), engine.connect() as connection:
                        await connection.execute(text("SELECT 1"))
                except (SQLAlchemyError, OSError, TimeoutError):
                    self._note(available=False)
                else:
                    self._note(available=True)
        finally:
            await engine.dispose()

    async def reap_answers(self, batch: int = REAP_BATCH) -> None:
        """Keep removing the answers whose time is over, ``batch`` of them at a time."""
        while True:
            try:
                async with self.transaction() as session:
                    removed = await reap(session, IDEMPOTENCY, now=time.time(), limit=batch)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                self._observe("reaper_failed", {"reason": type(error).__name__})
                removed = 0
            if removed:
                self._observe("answers_reaped", {"count": removed})
            if removed < batch:
                await asyncio.sleep(REAP_SECONDS)

    def _note(self, *, available: bool) -> None:
        if available != self._available and self._available is not None:
            self._observe("database", {"state": "ok" if available else "unavailable"})
        self._available, self._seen = available, time.monotonic()

    async def aclose(self) -> None:
        """Close every connection."""
        if self._engines is not None:
            await self._engines.aclose()

"""Idempotency store: claims and answers in the database of the effects, PostgreSQL or SQLite, by SQLAlchemy.

Threat: the note that a request was done lives elsewhere than what it did. The process dies between the two, and the
request is done twice, or never again.

What it does: the answer is one more row of the request's own transaction. A running request is marked by a lock that
dies with its transaction, so that a killed process leaves nothing to clean up:

* PostgreSQL: ``pg_try_advisory_xact_lock``, taken and asked together with the look at the record, in one statement. Who
  does not get it is told at once, and waits for nobody. (An INSERT that two make at once would have the second wait,
  holding a connection.) In the gap between one's commit and another's look the lock may be free and the record not yet
  seen: then the record's primary key decides, and the second one's work is rolled back.
* SQLite: a writing transaction is alone from its beginning (``BEGIN IMMEDIATE``), so a look is enough.

A claim that has to outlive its transaction (an effect elsewhere) is a row with a token and a lease, made by one
statement that commits before the work begins.

What it costs: two statements a request, one to claim and one to store.

What it does not do: begin, commit or retry anything. It is given a session, and transactions of its own for external
claims.

To lift it: needs ``sqlalchemy[asyncio]``. ``table = idempotency_table(metadata)``, a migration for it, and
``SqlIdempotencyStore(table, session=..., transaction=...)`` for each request; :func:`reap` now and then.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncSession

MAX_PRINCIPAL: Final = 600
"""Characters of a caller's name: a subject and a tenant of 255 each, and what stands between them."""

_TOKEN: Final = 16


def idempotency_table(metadata: MetaData, name: str = "idempotency_record") -> Table:
    """Return the table of the records. Times are milliseconds since 1970.

    A record without ``status`` is an external claim whose request has not ended.
    """
    return Table(
        name,
        metadata,
        Column("id", LargeBinary(32), primary_key=True),
        Column("principal", String(MAX_PRINCIPAL), nullable=False),
        Column("fingerprint", LargeBinary(32), nullable=False),
        Column("token", LargeBinary(_TOKEN)),
        Column("lease_until", BigInteger),
        Column("status", Integer),
        Column("headers", String(4096)),
        Column("body", LargeBinary),
        Column("expires_at", BigInteger, nullable=False),
        Index(f"ix_{name}_expires_at", "expires_at"),
        Index(f"ix_{name}_principal", "principal", "expires_at"),
    )


class HasIdentity(Protocol):
    """What this store needs to know of a claim."""

    @property
    def id(self) -> bytes:
        """32 bytes that tell caller, route and key from all others."""

    @property
    def principal(self) -> str:
        """The caller."""

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that tell the request from others under the same key."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered before."""

    status: int
    headers: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a claim: ``granted``, ``busy``, ``reused``, ``full`` or ``answered``."""

    state: Literal["granted", "busy", "reused", "full", "answered"]
    answer: StoredAnswer | None = None
    token: bytes | None = None


_GRANTED: Final = Finding("granted")
_BUSY: Final = Finding("busy")


class SqlIdempotencyStore:
    """The store of one request.

    Args:
        table: from :func:`idempotency_table`.
        session: the request's session; its transaction holds the effects.
        transaction: opens a session of its own that commits when the block ends; for external claims.
        give_up: rolls the request's transaction back, so that a release does not wait for it.
        options: execution options of the statements on the request's session.
    """

    def __init__(
        self,
        table: Table,
        *,
        session: AsyncSession,
        transaction: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        give_up: Callable[[], Any],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._table = table
        self._session = session
        self._transaction = transaction
        self._give_up = give_up
        self._options = dict(options or {})

    async def claim(self, claim: HasIdentity, *, now: float, max_keys: int) -> Finding:
        """Claim a key in the request's own transaction, without waiting for anybody."""
        locks = self._session.get_bind().dialect.name == "postgresql"
        statement, values = _look(self._table, lock=locks), _looked_for(claim, now, max_keys)
        if locks:
            values["lock"] = int.from_bytes(claim.id[:8], "big", signed=True)
        row = (await self._session.execute(statement, values, execution_options=self._options)).one()
        known = _judge(row, claim, max_keys)
        if known.state == "granted" and locks and not row.locked:
            return _BUSY
        return known

    async def save(
        self, claim: HasIdentity, *, status: int, headers: str, body: bytes, now: float, expires: float
    ) -> bool:
        """Store the answer in the request's own transaction; False if another one was stored meanwhile."""
        values = {"status": status, "headers": headers, "body": body, "token": None, "lease_until": None}
        return await self._upsert(self._session, claim, now=now, expires=expires, values=values, options=self._options)

    async def claim_external(
        self, claim: HasIdentity, *, now: float, lease: float, expires: float, max_keys: int
    ) -> Finding:
        """Claim a key in a transaction of its own; what died longer than its lease ago is taken over."""
        token = secrets.token_bytes(_TOKEN)
        async with self._transaction() as session:
            row = (await session.execute(_look(self._table, lock=False), _looked_for(claim, now, max_keys))).one()
            known = _judge(row, claim, max_keys)
            if known.state not in {"granted", "busy"}:
                return known
            # Whether a claim that is there may be taken over is decided by the statement that takes it.
            values = {"token": token, "lease_until": _ms(now + lease), "status": None, "headers": None, "body": None}
            taken = await self._upsert(session, claim, now=now, expires=expires, values=values)
        return Finding("granted", token=token) if taken else _BUSY

    async def settle(
        self, claim: HasIdentity, token: bytes, *, status: int, headers: str, body: bytes, expires: float
    ) -> bool:
        """Store the answer to an external claim in the request's own transaction; False if the claim is another's."""
        table = self._table
        settled = await self._session.execute(
            update(table)
            .where(table.c.id == claim.id, table.c.token == token, table.c.status.is_(None))
            .values(status=status, headers=headers, body=body, token=None, lease_until=None, expires_at=_ms(expires))
            .returning(table.c.id),
            execution_options=self._options,
        )
        return settled.first() is not None

    async def release(self, claim: HasIdentity, token: bytes, *, now: float) -> None:
        """End the lease of an external claim; the next try need not wait, and has to be the same request."""
        table = self._table
        await self._give_up()
        async with self._transaction() as session:
            await session.execute(
                update(table).where(table.c.id == claim.id, table.c.token == token).values(lease_until=_ms(now))
            )

    async def _upsert(
        self,
        session: AsyncSession,
        claim: HasIdentity,
        *,
        now: float,
        expires: float,
        values: dict[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> bool:
        """Insert the record, or take over one that is dead; tell whether that was possible."""
        record = {
            **values,
            "id": claim.id,
            "principal": claim.principal,
            "fingerprint": claim.fingerprint,
            "expires_at": _ms(expires),
        }
        statement = _upsert(self._table, session.get_bind().dialect.name)
        said = {f"new_{name}": value for name, value in record.items()} | {"now": _ms(now)}
        return (await session.execute(statement, said, execution_options=dict(options or {}))).first() is not None


@lru_cache(maxsize=16)
def _look(table: Table, *, lock: bool) -> Select[Any]:
    """Return the statement that reads a live record and counts the caller's; with ``lock`` it also tries for the lock.

    Made once: to put it together takes longer than to run it.
    """
    live = table.c.expires_at > bindparam("now", type_=BigInteger)
    counted: Select[Any] = select(literal_column("1")).where(table.c.principal == bindparam("who", type_=String), live)
    counted = counted.limit(bindparam("most", type_=Integer))
    count = select(func.count()).select_from(counted.subquery()).scalar_subquery()
    one = select(literal_column("1").label("one")).subquery("one")
    found = one.outerjoin(table, and_(table.c.id == bindparam("key", type_=LargeBinary), live))
    columns = (table.c.fingerprint, table.c.status, table.c.headers, table.c.body)
    statement = select(*columns, count.label("live")).select_from(found)
    if lock:
        statement = statement.add_columns(
            func.pg_try_advisory_xact_lock(bindparam("lock", type_=BigInteger)).label("locked")
        )
    return statement


@lru_cache(maxsize=16)
def _upsert(table: Table, dialect: str) -> Any:
    """Return the statement that stores a record (``new_`` and the name of each column), unless one is there that lives.

    Made once, for the same reason.
    """
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    insert = insert.values({column: bindparam(f"new_{column.name}", type_=column.type) for column in table.c})
    now, new = bindparam("now", type_=BigInteger), insert.excluded
    abandoned = and_(table.c.status.is_(None), table.c.lease_until <= now, table.c.fingerprint == new.fingerprint)
    return insert.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={column.name: new[column.name] for column in table.c if not column.primary_key},
        where=or_(table.c.expires_at <= now, abandoned),
    ).returning(table.c.id)


def _looked_for(claim: HasIdentity, now: float, max_keys: int) -> dict[str, Any]:
    return {"key": claim.id, "who": claim.principal, "now": _ms(now), "most": max_keys}


def _judge(row: Row[Any], claim: HasIdentity, max_keys: int) -> Finding:
    if row.fingerprint is None:
        return Finding("full") if row.live >= max_keys else _GRANTED
    if bytes(row.fingerprint) != claim.fingerprint:
        return Finding("reused")
    if row.status is None:
        return _BUSY
    return Finding("answered", StoredAnswer(row.status, row.headers, bytes(row.body)))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


async def reap(session: AsyncSession, table: Table, *, now: float, limit: int) -> int:
    """Delete at most ``limit`` records whose time is over, and return how many; the oldest first.

    Args:
        session: in a transaction of its own.
        table: from :func:`idempotency_table`.
        now: seconds since 1970.
        limit: rows; others that reap at the same time get other rows.
    """
    dead = (
        select(table.c.id)
        .where(table.c.expires_at <= _ms(now))
        .order_by(table.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("dead")  # evaluated once: as a subquery PostgreSQL may ask it again, and skip what it has locked itself
    )
    gone = await session.execute(delete(table).where(table.c.id.in_(select(dead.c.id))).returning(table.c.id))
    return len(gone.all())

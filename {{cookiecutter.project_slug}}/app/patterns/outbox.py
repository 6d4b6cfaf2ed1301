"""Outbox: work that must not be lost is written with the data that it belongs to, and done afterwards.

Threat: a handler commits and then sends the mail; the process dies in between, and nobody ever sends it. Or it sends
the mail and then commits; the commit fails, and a mail speaks of an order that does not exist. A task in memory is lost
with the process. And the cure's own: two workers that do the same; work that a worker took along when it died; a
message that never succeeds and holds up all others; events of one order that overtake each other.

What it does: :meth:`OutboxStore.add` inserts a message in the caller's transaction, so that it is there if and only if
the data is ("transactional outbox"). An :class:`OutboxWorker` takes messages whose time has come and hands each to a
function:

* **At least once.** A message is removed after the function has returned. A worker that dies keeps it for as long as
  its lease, then another takes it over; who comes back late finds that its token is no longer the message's, and
  changes nothing. So the function has to bear being called twice: the message's ``id`` is the same each time.
* **In order, where asked.** Messages with the same ``key`` are done one after the other, as they were added; a failed
  one holds back those behind it, until it succeeds or is dead. Others pass by.
* **Retries** with a delay that doubles, with jitter, from a second to five minutes. After ``attempts`` the message is
  dead: it is kept, can be listed, and replayed by a person. An attempt that its worker did not survive is one too.

Defaults stand with their reasons in :class:`OutboxConfig`.

What it does not do: exactly once, which needs the receiver (give it the id as an idempotency key); deliver in the
moment (up to ``poll`` seconds, unless somebody calls :meth:`OutboxWorker.nudge`); scale beyond what one table bears,
some hundred messages a second. On SQLite let transactions begin with ``BEGIN IMMEDIATE``: then a claim has no rival. On
other databases it locks its rows and skips those that are locked.

To lift it: needs ``sqlalchemy[asyncio]`` and a driver. Make the table with ``outbox_table(metadata)``; ``transaction``
is ``async_sessionmaker(engine).begin``; run ``OutboxWorker(store, deliver).run()`` in a task, and ``stop()`` it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import MetaData
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncSession

MAX_PAYLOAD: Final = 64 * 1024
"""Bytes of a message: it names what happened, and does not carry it."""

MAX_NAME: Final = 100
MAX_KEY: Final = 255
MAX_CONTEXT: Final = 4096
"""Characters of what travels along."""

MAX_ERROR: Final = 200
"""Characters of what is kept about a failure."""

LOST: Final = "WorkerLost"
"""What is kept about a message whose last worker died, or could not write down the end."""

WAITING: Final = "todo"
DOING: Final = "doing"
DEAD: Final = "dead"


@dataclass(frozen=True, slots=True)
class Message:
    """A message, on its way in or out.

    Attributes:
        name: what has to be done.
        payload: with what; text, such as JSON.
        key: messages with the same one are done in order; None for no order.
        context: what travels along, such as a trace; text.
        id: given by the table; 0 before.
        attempt: how often it has been tried, this time included; 0 before.
        token: of the claim.
        error: of the last attempt, if that failed.
    """

    name: str
    payload: str
    key: str | None = None
    context: str = ""
    id: int = 0
    attempt: int = 0
    token: bytes = b""
    error: str = ""


class MessageRefused(ValueError):
    """A message cannot be written: it is too large, or has no name. The text says which bound it breaks."""


class Discard(Exception):
    """Raised by the function: this message will never succeed, so it is dead at once.

    The text is kept with it, so it holds nothing that somebody sent.
    """


def outbox_table(metadata: MetaData, name: str = "outbox") -> Table:
    """Define the table. Times are milliseconds since 1970."""
    return Table(
        name,
        metadata,
        # SQLite numbers rows by itself only in a column of exactly this type.
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("name", String(MAX_NAME), nullable=False),
        Column("payload", Text, nullable=False),
        Column("key", String(MAX_KEY), nullable=True),
        Column("context", String(MAX_CONTEXT), nullable=False),
        Column("status", String(8), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", BigInteger, nullable=False),
        Column("token", LargeBinary(16), nullable=True),
        Column("error", String(MAX_ERROR), nullable=True),
        Index(f"ix_{name}_due_at", "status", "due_at"),
        Index(f"ix_{name}_key", "key", "id"),
    )


class OutboxStore:
    """The messages of one table.

    Args:
        table: from :func:`outbox_table`.
        transaction: begins a transaction of the worker's own, and commits it at the end of the block.
        now: seconds since 1970; machines agree on it better than a lease is long.
        options: execution options of every statement.
    """

    def __init__(
        self,
        table: Table,
        transaction: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        *,
        now: Callable[[], float] = time.time,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._table, self._transaction, self._now = table, transaction, now
        self._options = dict(options or {})
        self._insert = insert(table)
        self._claim = _claim_of(table)  # once: it is asked every second, and to build it takes longer than to run it

    async def add(self, session: AsyncSession, message: Message, *, delay: float = 0.0) -> None:
        """Write a message in the transaction of ``session``; if that is rolled back, it was never there.

        Args:
            session: of the data that it belongs to.
            message: its ``name``, ``payload``, ``key`` and ``context``.
            delay: seconds before which it is not done.

        Raises:
            MessageRefused: a bound is broken.
        """
        check_message(message)
        row = {
            "name": message.name,
            "payload": message.payload,
            "key": message.key,
            "context": message.context,
            "status": WAITING,
            "attempts": 0,
            "due_at": self._milliseconds(delay),
        }
        await session.execute(self._insert, row, execution_options=self._options)

    async def claim(self, limit: int, lease: float) -> list[Message]:
        """Take up to ``limit`` messages whose time has come, for ``lease`` seconds.

        A message whose lease is over is taken again: its worker has died, or hangs.
        """
        now = self._milliseconds()
        values = {
            "room": limit, "now": now, "until": now + round(lease * 1000), "taken_by": secrets.token_bytes(16),
        }  # fmt: skip
        async with self._transaction() as session:
            rows = (await session.execute(self._claim, values, execution_options=self._options)).all()
        return sorted((_message(row) for row in rows), key=lambda message: message.id)

    async def done(self, message: Message) -> bool:
        """Remove a message; False if somebody else has taken it over."""
        return await self._change(delete(self._table), message)

    async def again(self, message: Message, *, delay: float, error: str = "", counted: bool = True) -> bool:
        """Have a message done again after ``delay`` seconds; False if somebody else has taken it over.

        Args:
            message: as it was claimed.
            delay: seconds.
            error: what went wrong.
            counted: the attempt was one.
        """
        attempts = message.attempt if counted else message.attempt - 1
        values = {
            "status": WAITING, "token": None, "due_at": self._milliseconds(delay), "attempts": attempts,
            "error": error[:MAX_ERROR],
        }  # fmt: skip
        return await self._change(update(self._table).values(values), message)

    async def bury(self, message: Message, *, error: str) -> bool:
        """Give a message up; it is kept. False if somebody else has taken it over."""
        values = {"status": DEAD, "token": None, "due_at": self._milliseconds(), "error": error[:MAX_ERROR]}
        return await self._change(update(self._table).values(values), message)

    async def dead(self, *, after: int = 0, limit: int = 100) -> list[Message]:
        """Return dead messages, oldest first, from the one after the id ``after``."""
        table = self._table
        statement = select(table).where(table.c.status == DEAD, table.c.id > after).order_by(table.c.id).limit(limit)
        async with self._transaction() as session:
            rows = (await session.execute(statement, execution_options=self._options)).all()
        return [_message(row) for row in rows]

    async def replay(self, ids: Sequence[int] | None = None) -> int:
        """Have dead messages done again, now and as if never tried; all of them if ``ids`` is None. Return how many."""
        table = self._table
        statement = update(table).where(table.c.status == DEAD)
        if ids is not None:
            statement = statement.where(table.c.id.in_(ids))
        statement = statement.values(status=WAITING, attempts=0, due_at=self._milliseconds())
        async with self._transaction() as session:
            result = await session.execute(statement, execution_options=self._options)
        return result.rowcount  # type: ignore[attr-defined, no-any-return]  # an UPDATE has one

    async def counts(self) -> dict[str, int]:
        """Return how many messages there are, by status: ``todo``, ``doing``, ``dead``."""
        table = self._table
        statement = select(table.c.status, func.count()).group_by(table.c.status)
        async with self._transaction() as session:
            rows = (await session.execute(statement, execution_options=self._options)).all()
        return {WAITING: 0, DOING: 0, DEAD: 0} | {str(row[0]): int(row[1]) for row in rows}

    async def _change(self, statement: Any, message: Message) -> bool:
        table = self._table
        own = statement.where(table.c.id == message.id, table.c.token == message.token)
        async with self._transaction() as session:
            result = await session.execute(own, execution_options=self._options)
        return bool(result.rowcount)  # type: ignore[attr-defined]

    def _milliseconds(self, later: float = 0.0) -> int:
        return round((self._now() + later) * 1000)


def _claim_of(table: Table) -> Any:
    """Return the statement that takes messages: up to ``room`` that are due by ``now``, for ``taken_by``, ``until``."""
    earlier = table.alias()
    due = (
        select(table.c.id)
        .where(table.c.status.in_((WAITING, DOING)), table.c.due_at <= bindparam("now"))
        .where(
            ~select(earlier.c.id)
            .where(earlier.c.key == table.c.key, earlier.c.id < table.c.id, earlier.c.status != DEAD)
            .exists()
        )
        .order_by(table.c.due_at, table.c.id)
        .limit(bindparam("room", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("due")  # evaluated once: as a subquery PostgreSQL may ask it again for each row, and take them all
    )
    return (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(status=DOING, token=bindparam("taken_by"), attempts=table.c.attempts + 1, due_at=bindparam("until"))
        .returning(table)
    )


def check_message(message: Message) -> None:
    """Hold a message to its bounds.

    Raises:
        MessageRefused: it breaks one.
    """
    if not 0 < len(message.name) <= MAX_NAME:
        raise MessageRefused(f"a message's name has 1 to {MAX_NAME} characters")
    if len(message.payload.encode()) > MAX_PAYLOAD:
        raise MessageRefused(f"a message has at most {MAX_PAYLOAD} bytes: let it name the row that has the rest")
    if message.key is not None and not 0 < len(message.key) <= MAX_KEY:
        raise MessageRefused(f"a message's key has 1 to {MAX_KEY} characters")
    if len(message.context) > MAX_CONTEXT:
        raise MessageRefused(f"a message's context has at most {MAX_CONTEXT} characters")


def _message(row: Row[Any]) -> Message:
    return Message(
        name=row.name, payload=row.payload, key=row.key, context=row.context, id=row.id, attempt=row.attempts,
        token=row.token or b"", error=row.error or "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    """How a worker works. Times in seconds."""

    concurrency: int = 10
    """Messages at a time: they mostly wait for somebody else."""
    timeout: float = 60.0
    """For one attempt."""
    margin: float = 15.0
    """By which a lease outlasts the attempt: for the end of it to be written while the database is slow."""
    poll: float = 1.0
    """Between two looks for messages, if nobody nudges."""
    attempts: int = 12
    """Until a message is dead: with the delays below nine to nineteen minutes, and the attempts' own time."""
    base: float = 1.0
    """The first delay; each is twice the one before."""
    cap: float = 300.0
    """The longest delay."""
    grace: float = 10.0
    """That running attempts have to end when the worker stops; then they are cancelled, and done again later."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if min(self.concurrency, self.attempts) < 1 or min(self.timeout, self.poll, self.base) <= 0:
            raise ValueError("concurrency and attempts are at least 1; timeout, poll and base more than 0")
        if self.margin < 0 or self.grace < 0 or self.cap < self.base:
            raise ValueError("margin and grace are not negative, cap is at least base")


class Observer(Protocol):
    """Sees what becomes of messages."""

    def __call__(self, event: str, *, message: Message | None, reason: str) -> None:
        """``done``, ``retried``, ``dead``, ``overtaken`` (another worker has it), ``returned`` (the worker stops).

        ``store_failed``: the table could not be reached; without a message where messages were looked for.
        """


@dataclass(slots=True)
class OutboxWorker:
    """Takes messages and hands them to a function. Belongs to one event loop.

    Attributes:
        store: where they are.
        deliver: does what a message says. Returning means that it is done, raising that it is to be tried again.
        config: how.
        uniform: a number between two others, for the jitter of delays.
        observe: sees what becomes of messages.
    """

    store: OutboxStore
    deliver: Callable[[Message], Awaitable[None]]
    config: OutboxConfig = field(default_factory=OutboxConfig)
    uniform: Callable[[float, float], float] = random.uniform
    observe: Observer | None = None
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    @property
    def in_flight(self) -> int:
        """Number of messages that are being done."""
        return len(self._running)

    def nudge(self) -> None:
        """Look for messages now: one was added."""
        self._wake.set()

    def stop(self) -> None:
        """Take no more messages; :meth:`run` returns once the running ones have ended, within ``grace`` seconds."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until :meth:`stop`, or until it is cancelled: then what runs is cancelled too, and done again later."""
        try:
            while not self._stopping:
                taken = await self._take()
                if not taken and not self._stopping:
                    await self._rest()
            if self._running:
                await asyncio.wait(self._running, timeout=self.config.grace)
        finally:
            for task in self._running:
                task.cancel()
            while self._running:
                await asyncio.wait(self._running)

    async def work_once(self) -> int:
        """Do what can be done now, and return how many messages that were. For tests, and for a drain by hand."""
        total = 0
        while taken := await self._take():
            total += taken
            await asyncio.wait(set(self._running))
        return total

    async def _take(self) -> int:
        """Claim as many messages as there is room for, and begin them."""
        self._wake.clear()  # before the look: who wakes it from now on may know more
        room = self.config.concurrency - len(self._running)
        if room <= 0:
            return 0
        try:
            claimed = await self.store.claim(room, self.config.timeout + self.config.margin)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._see("store_failed", None, type(error).__name__)
            return 0
        for message in claimed:
            task = asyncio.create_task(self._do(message))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return len(claimed)

    def _see(self, event: str, message: Message | None, reason: str) -> None:
        if self.observe is not None:
            self.observe(event, message=message, reason=reason)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()  # there is room, and what waited for its order may go on

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.config.poll):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _do(self, message: Message) -> None:
        """Do one message, and write down what became of it."""
        try:
            event, reason, own = await self._outcome(message)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            # The lease brings it back.
            event, reason, own = "store_failed", type(error).__name__, True
        self._see(event if own else "overtaken", message, reason)

    async def _outcome(self, message: Message) -> tuple[str, str, bool]:
        """Return what became of a message, why, and whether it was still this worker's."""
        reason, finally_ = "", False
        if message.attempt > self.config.attempts:  # who made the last one wrote down no end of it
            return "dead", LOST, await self.store.bury(message, error=LOST)
        try:
            async with asyncio.timeout(self.config.timeout):
                await self.deliver(message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                own = await asyncio.shield(self.store.again(message, delay=0.0, counted=False))
                return "returned", "", own
            reason = type(error).__name__  # nobody has cancelled this: the function let a cancellation of its own out
        except Discard as error:
            reason, finally_ = f"Discard: {error}", True
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is kept and tried again
            reason = type(error).__name__
        if not reason:
            return "done", "", await self.store.done(message)
        if finally_ or message.attempt >= self.config.attempts:
            return "dead", reason, await self.store.bury(message, error=reason)
        delay = min(self.config.base * 2.0 ** min(message.attempt - 1, 30), self.config.cap)
        delay *= self.uniform(0.5, 1.0)
        return "retried", reason, await self.store.again(message, delay=delay, error=reason)

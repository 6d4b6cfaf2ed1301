"""Unit of work: one request, one transaction, committed before the first byte of the answer leaves.

Threat: a handler commits too early, too late, twice or never; a client is told 201 and COMMIT fails afterwards; half of
the writes stay when the second half breaks; a request that was cut by its deadline, or whose client has gone, leaves
its effects behind.

What it does: the handler gets a session and writes. When its answer is complete, and not before, the transaction is
committed if the status is below 400, and rolled back otherwise; then the answer leaves. An exception, a cancellation
or a client that has gone roll back. ``commit``, ``rollback``, ``close`` and ``begin`` of the session refuse with a
text that says why; savepoints (``begin_nested``) are the handler's own.

* The transaction begins with the first statement: a request that needs no database takes no connection.
* GET and HEAD get a session for reading (``read_only``): one on an engine, or in a transaction, where the database
  refuses to write. What they write is rolled back in any case. Their connection goes back before the answer leaves,
  except where the answer is a stream, which may read on.
* The answer to a writing method is held back, so it has a bound: 1 MiB by default, ample for a document and small
  enough that a hundred at a time do no harm. Past it the request fails and nothing is kept.
* After the commit the session is closed for good: a background task that uses it gets an error, not a transaction
  that nobody will ever commit.

What it does not do: undo what a handler did elsewhere (a message, a charge), or know whether a COMMIT whose answer was
lost has happened. For both a caller needs an idempotency key, whose record belongs in the same transaction.

To lift it: needs ``sqlalchemy[asyncio]`` and, for types only, ``starlette``::

    engine = create_async_engine(url)
    engines = {False: engine, True: engine_for_reading}
    app.add_middleware(UnitOfWork, sessions=lambda scope, read_only: UnitSession(engines[read_only]))

and in a dependency ``request.scope["state"]["session"]()`` returns the request's session. Put it inside of whatever
turns exceptions into answers, or a failed COMMIT becomes the server's bare 500.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_RESPONSE: Final = 1024 * 1024
"""Bytes of an answer that are held back until the commit."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that a rollback may take once its request is over; then the connection is dropped instead of returned."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""Methods that only read (RFC 9110, 9.2.1; OPTIONS and TRACE have no handlers here)."""

_FAILED: Final = 400


class UnitOfWorkError(Exception):
    """Something about a request's transaction is not as it has to be."""


class TransactionOwned(UnitOfWorkError):
    """A handler tried to end the transaction itself; ``method`` is what it called."""

    def __init__(self, method: str, instead: str) -> None:
        super().__init__(
            f"session.{method}() is not the handler's: the unit of work commits when the answer is complete and below "
            f"400, and rolls back otherwise. {instead}"
        )
        self.method = method


class ResponseTooLarge(UnitOfWorkError):
    """The answer of a writing request exceeds ``limit`` bytes, so it could not be held back until the commit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer to a writing request may have at most {limit} bytes; nothing was committed")
        self.limit = limit


class WroteWhileReading(UnitOfWorkError):
    """A handler of GET or HEAD changed objects that nothing will ever store."""

    def __init__(self) -> None:
        super().__init__("a handler of GET changed objects of its session; it only reads, so use POST, PUT or PATCH")


class ClientGone(UnitOfWorkError):
    """The client left before the commit; nobody will read that it succeeded, so it did not."""

    def __init__(self) -> None:
        super().__init__("the client left before the commit; the request was rolled back")


class OwnedSession(Session):
    """The synchronous side: here a call arrives however the handler came by the session."""

    def commit(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("commit", "Remove the call; flush() if you need a generated value.")

    def rollback(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("rollback", "Raise an HTTPException to give up, or use begin_nested() for a savepoint.")

    def close(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("close", "Remove the call, and any `async with session`.")

    def reset(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("reset", "Remove the call.")

    def invalidate(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("invalidate", "Remove the call.")

    def begin(self, nested: bool = False) -> Any:  # noqa: FBT001, FBT002 - the base class's signature
        """Refuse, but for a savepoint."""
        if not nested:
            raise TransactionOwned("begin", "It has begun already; use begin_nested() for a savepoint.")
        return super().begin(nested=True)

    def begin_nested(self) -> Any:
        """Begin a savepoint, which the handler may end as it likes."""
        return super().begin(nested=True)

    def prepare(self) -> NoReturn:
        """Refuse."""
        raise TransactionOwned("prepare", "Remove the call.")


class UnitSession(AsyncSession):
    """The session of one request; belongs to :class:`UnitOfWork`, which alone ends its transaction.

    Args: as of ``AsyncSession``. Objects stay readable after the commit (``expire_on_commit=False``), and a session
    that was ended stays so (``close_resets_only=False``).
    """

    sync_session_class = OwnedSession

    def __init__(self, bind: Any, **options: Any) -> None:
        super().__init__(bind, expire_on_commit=False, close_resets_only=False, **options)

    async def end(self, *, commit: bool) -> None:
        """Commit or roll back, and close for good; the connection goes back to its pool.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the commit failed; the transaction was rolled back.
        """
        sync = self.sync_session
        try:
            if commit:
                await greenlet_spawn(Session.commit, sync)
        finally:
            await _bounded(greenlet_spawn(Session.close, sync), self)


async def _bounded(closing: Awaitable[None], session: UnitSession) -> None:
    """Wait for the rollback through a cancellation, but not for ever: then the connection is dropped."""
    task = asyncio.ensure_future(closing)
    cancelled: asyncio.CancelledError | None = None
    deadline = asyncio.get_running_loop().time() + CLOSE_TIMEOUT
    while not task.done():
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            task.cancel()
            with contextlib.suppress(Exception):
                await greenlet_spawn(Session.invalidate, session.sync_session)
            break
        try:
            await asyncio.wait((task,), timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    if task.done() and not task.cancelled():
        task.result()


Sessions = Callable[["Scope", bool], UnitSession]
"""Makes the session of one request; the flag says that it only reads. Must not wait."""

Verify = Callable[[UnitSession], Awaitable[None]]
"""Told just before the commit; raises if the transaction is no longer the one that was begun."""


class Unit:
    """One request's transaction, before and after it is needed. Called, it returns the session."""

    __slots__ = ("_scope", "_sessions", "read_only", "session")

    def __init__(self, sessions: Sessions, scope: Scope, *, read_only: bool) -> None:
        self._sessions, self._scope, self.read_only = sessions, scope, read_only
        self.session: UnitSession | None = None

    def __call__(self) -> UnitSession:
        """Return the session of this request. Its transaction begins with its first statement."""
        if self.session is None:
            self.session = self._sessions(self._scope, self.read_only)
        return self.session

    @contextlib.asynccontextmanager
    async def look(self) -> AsyncIterator[UnitSession]:
        """Open a session that only reads, apart from the request's transaction; it is closed with the block.

        For what has to be known before another service is asked: a transaction that waits for one holds its locks, and
        a connection, for as long as that takes.
        """
        session = self._sessions(self._scope, True)
        try:
            yield session
        finally:
            await session.end(commit=False)

    async def give_up(self) -> None:
        """Roll back now, so that work in a transaction of its own does not wait for this one."""
        if self.session is not None:
            await self.session.end(commit=False)

    @property
    def used(self) -> bool:
        """True if there is anything to commit or to roll back."""
        return self.session is not None and self.session.in_transaction()


class UnitOfWork:
    """Gives each request one transaction and decides its end by the answer.

    Args:
        app: the ASGI application to guard.
        sessions: makes the session of a request.
        verify: looks at the transaction once more before the commit; default trusts it.
        max_response: bytes of an answer to a writing method.
    """

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, verify: Verify | None = None, max_response: int = MAX_RESPONSE
    ) -> None:
        self.app = app
        self.sessions = sessions
        self.verify = verify
        self.max_response = max_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application within one transaction."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        unit = Unit(self.sessions, scope, read_only=scope["method"] in SAFE_METHODS)
        scope.setdefault("state", {})["session"] = unit
        answer: _Reading | _Writing
        answer = _Reading(unit, send) if unit.read_only else _Writing(self, unit, receive, send)
        try:
            await self.app(scope, receive, answer.send)
        finally:
            # The scope holds the unit and the unit the scope: what is not taken apart here waits for the collector.
            scope["state"].pop("session", None)
            if unit.session is not None:
                await unit.session.end(commit=False)


class _Reading:
    """Passes the answer on; a complete one only once the connection has gone back."""

    __slots__ = ("_send", "_start", "_unit")

    def __init__(self, unit: Unit, send: Send) -> None:
        self._unit, self._send = unit, send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body", False) and self._unit.session is not None:
                if start["status"] < _FAILED and not _is_clean(self._unit.session):
                    raise WroteWhileReading
                await self._unit.session.end(commit=False)
            await self._send(start)
        await self._send(message)


class _Writing:
    """Holds the answer back until the transaction has ended as the status asks for."""

    __slots__ = ("_body", "_guard", "_receive", "_send", "_size", "_start", "_unit")

    def __init__(self, guard: UnitOfWork, unit: Unit, receive: Receive, send: Send) -> None:
        self._guard, self._unit, self._receive, self._send = guard, unit, receive, send
        self._start: Message | None = None
        self._body: list[bytes] = []
        self._size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
            return
        chunk = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._guard.max_response:
            raise ResponseTooLarge(self._guard.max_response)
        self._body.append(chunk)
        if message.get("more_body", False):
            return
        start, self._start = self._start, None
        if self._unit.session is not None:
            await self._settle(self._unit.session, start["status"])
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b"".join(self._body)})

    async def _settle(self, session: UnitSession, status: int) -> None:
        commit = self._unit.used and status < _FAILED
        if commit:
            if _has_gone(self._receive):
                raise ClientGone
            if self._guard.verify is not None:
                await self._guard.verify(session)
        await session.end(commit=commit)


def _is_clean(session: UnitSession) -> bool:
    return not (session.new or session.deleted or session.dirty)


def _has_gone(receive: Receive) -> bool:
    """Ask whether the client has left, without waiting: a look at what ``receive`` has at this moment."""
    waiting: Any = receive()
    try:
        waiting.send(None)
    except StopIteration as done:
        return bool(done.value["type"] == "http.disconnect")
    waiting.close()
    return False

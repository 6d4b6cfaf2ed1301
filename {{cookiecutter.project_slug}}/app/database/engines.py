"""Engines with bounds on everything that waits, and with the rules that hold below any session.

SQLite: WAL, so that readers and the one writer do not stop each other; ``synchronous=FULL``, so that what was
committed survives a power cut; a writer takes its lock when it begins (``BEGIN IMMEDIATE``), because a reader that
becomes a writer half-way fails with SQLITE_BUSY whatever it waits for. One connection writes, in order of arrival;
others read, and can do nothing else.

PostgreSQL: one pool, whose size is the bound; a lock, a connection and a place in the queue are waited for so long and
no longer; a peer that has vanished is noticed by the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import TextClause, TextualSelect, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.visitors import iterate

from app.patterns import ownership
from app.patterns.containment import check_sql, trusted
from app.patterns.database_errors import translate_values
from app.patterns.unit_of_work import TransactionOwned

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL, Connection
    from sqlalchemy.engine import ExecutionContext
    from sqlalchemy.pool import PoolResetState

    from app.settings import Settings

SQLITE_READERS: Final = 4
"""Connections that read at the same time: SQLite reads from the page cache, so more only share the cores."""

RECYCLE: Final = 1800
"""Seconds after which a connection is replaced: below the idle cut of common proxies and firewalls (an hour)."""

SLACK: Final = 50
"""Milliseconds between the end of a request's time and that of its statement: the deadline speaks first, with a 504."""

LONGEST: Final = 300_000
"""Milliseconds of a statement without a deadline: the longest timeout that a policy may give."""

OF_A_REQUEST: Final = "of_a_request"
"""Execution option of the connection that a request's session uses."""

_TOUCHED: Final = "touched"
"""Note on a connection over which a request has run what may outlive it: it is cleaned before anybody else gets it."""

_LASTING: Final = re.compile(r"set_config|pg_(?:try_)?advisory_lock(?:_shared)?", re.IGNORECASE)
"""PostgreSQL's functions whose effect outlives the transaction, as ``func`` calls them; text may have them anywhere."""

_PERMITTED: Final = re.compile(
    r"(?:[ \t\r\n\f\v(]|--[^\r\n]*+(?:\r?\n|\Z)|/\*(?:(?!/\*|\*/).)*+\*/)*+"
    r"(?:select|insert|update|delete|merge|replace|with|values|table|explain|show|lock|call|notify|savepoint|release|"
    r"rollback\s+(?:(?:work|transaction)\s+)?to)\b",
    re.IGNORECASE | re.DOTALL,
)
"""What a request may run: rows, and savepoints. Anything else ends the transaction, or changes the connection or the
schema for whoever comes next. Of what comes before the first word only that passes which both databases read alike:
to PostgreSQL a comment in a comment is one, and a line's comment ends with a carriage return; SQLite takes an empty
statement and a byte order mark for nothing."""

_WORD: Final = re.compile(r"\w+")

_SINGLE: Final = re.compile(r"(?:[^;'\"$\\/-]|-(?!-)|/(?!\*)|'[^'\\]*+'|\"[^\"]*+\")*+[;\s]*")
"""One statement, certainly: of a text with a semicolon this is asked. PostgreSQL runs all that stand in one text."""


@dataclass(frozen=True, slots=True)
class Engines:
    """Where requests read, and where they write; one and the same on PostgreSQL.

    Attributes:
        reading: for GET and HEAD.
        writing: for everything else.
    """

    reading: AsyncEngine
    writing: AsyncEngine

    async def aclose(self) -> None:
        """Close every connection."""
        await self.reading.dispose()
        await self.writing.dispose()


def make_engines(url: URL, settings: Settings) -> Engines:
    """Return the engines for ``url``; nothing is connected to yet."""
    if url.get_backend_name() == "sqlite":
        reading = _sqlite(url, settings, size=SQLITE_READERS, read_only=True)
        return Engines(reading, _sqlite(url, settings, size=1, read_only=False))
    engine = create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.database_pool_timeout,
        pool_recycle=RECYCLE,
        pool_use_lifo=True,  # few warm connections rather than many lukewarm ones
        hide_parameters=True,  # values do not belong into the text of an error
        connect_args={
            "connect_timeout": settings.database_connect_timeout,
            "application_name": settings.service_name,
            "options": f"-c timezone=UTC -c lock_timeout={round(settings.database_lock_timeout * 1000)}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    _watch(engine)
    return Engines(engine, engine)


def _sqlite(url: URL, settings: Settings, *, size: int, read_only: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.database_pool_timeout,
        hide_parameters=True,
        connect_args={"timeout": settings.database_lock_timeout},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and deferred
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            cursor.execute(f"PRAGMA {pragma}")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    ownership.guard_engine(engine.sync_engine)  # there is no row security behind it
    _watch(engine)
    return engine


def _watch(engine: AsyncEngine) -> None:
    """Hold every statement to the rules, however it was written."""
    translate_values(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def before(
        connection: Connection, cursor: Any, statement: str, _values: Any, context: ExecutionContext | None, *_: object
    ) -> None:
        textual, lasting = _judged(context)
        options = context.execution_options if context is not None else {}
        if options.get(OF_A_REQUEST) and not options.get(ownership.TRUSTED):
            _check_request(statement, textual=textual)
            if lasting:
                connection.info[_TOUCHED] = True
        if textual:
            check_sql(statement)
        allowance: Allowance | None = connection.info.get("allowance")
        if allowance is not None:
            allowance.shorten(cursor)

    @event.listens_for(engine.sync_engine, "reset")
    def reset(connection: Any, record: Any, state: PoolResetState) -> None:
        if record.info.pop(_TOUCHED, False) and state.asyncio_safe and engine.dialect.name == "postgresql":
            _clean(connection)  # if it fails, the pool drops the connection

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        with trusted():  # whoever needs the connection: where it leads is for the settings to say
            return dialect.connect(*arguments, **options)


def _check_request(statement: str, *, textual: bool = True) -> None:
    """Refuse a statement, or several in one text, that does more than one request's transaction may.

    Raises:
        TransactionOwned: with what to do instead.
    """
    if _PERMITTED.match(statement) is None:
        first = _WORD.search(statement)
        raise TransactionOwned(
            first[0].lower()[:40] if first else "execute",
            "Remove the statement: it would end the transaction or outlive the request. A statement begins with "
            "SELECT, INSERT, UPDATE, DELETE, MERGE, WITH or VALUES; tables are made by migrations.",
        )
    if textual and ";" in statement and _SINGLE.fullmatch(statement) is None:
        raise TransactionOwned("execute", "Send one statement at a time, and texts with a semicolon as parameters.")


def _clean(connection: Any) -> None:
    """Take back what outlives a transaction on PostgreSQL: settings, locks, cursors, whichever function made them."""
    connection.rollback()
    connection.autocommit = True  # one round trip, and no transaction that would have to be ended
    cursor = connection.cursor()
    cursor.execute(_CLEANED)
    cursor.close()
    connection.autocommit = False


_CLEANED: Final = (
    "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();"
    " DISCARD SEQUENCES; DISCARD TEMP"
)
"""What DISCARD ALL does but for prepared statements, which are the driver's: it would not notice that they are gone."""


_JUDGED: WeakKeyDictionary[Any, tuple[bool, bool]] = WeakKeyDictionary()


def written_as_text(context: ExecutionContext | None) -> bool:
    """Tell whether a statement, or a piece of it, was written as text, and not put together by SQLAlchemy."""
    return _judged(context)[0]


def _judged(context: ExecutionContext | None) -> tuple[bool, bool]:
    """Return whether a statement is text, or has some, and whether it may leave something on its connection."""
    compiled = getattr(context, "compiled", None)
    if compiled is None:
        return True, True
    known = _JUDGED.get(compiled)
    if known is None:
        statement = compiled.statement
        textual = statement is None or any(map(_is_text, iterate(statement)))
        known = _JUDGED[compiled] = textual, textual or any(map(_lasts, iterate(statement)))
    return known


def _lasts(element: Any) -> bool:
    return isinstance(element, FunctionElement) and _LASTING.fullmatch(getattr(element, "name", "")) is not None


def _is_text(element: Any) -> bool:
    """Tell a piece of text from names and values: what ``text``, ``literal_column``, ``op`` and hints are made of."""
    return (
        isinstance(element, TextClause | TextualSelect)
        or (bool(getattr(element, "is_literal", False)) and element.name != "*")
        or isinstance(getattr(element, "operator", None), custom_op)
        or any(getattr(element, name, None) for name in ("_prefixes", "_suffixes", "_hints", "_statement_hints"))
    )


class Allowance:
    """The time that PostgreSQL gives the statements of one transaction, from what is left of the request's.

    Told when the transaction begins, and again whenever less than half of what was told is left: a request of many
    statements costs a handful more, and none runs on for long after its caller was answered.

    Args:
        remaining: returns the seconds left, or None without a deadline.
    """

    __slots__ = ("_remaining", "_told")

    def __init__(self, remaining: Callable[[], float | None]) -> None:
        self._remaining = remaining
        self._told = 0

    def tell(self) -> int:
        """Return the milliseconds to begin with."""
        self._told = self._left()
        return self._told

    def shorten(self, cursor: Any) -> None:
        """Tell the server through ``cursor``, if much less is left than it knows."""
        if self._told and self._left() < self._told // 2:
            self._told = self._left()
            cursor.execute(f"SET LOCAL statement_timeout = {self._told}")

    def _left(self) -> int:
        left = self._remaining()
        # At least 1: to PostgreSQL 0 means no bound at all.
        return LONGEST if left is None else max(1, min(LONGEST, int(left * 1000) + SLACK))

"""Database errors: what a failed statement means for who sent the request.

Threat: every database error looks the same to a handler. A dead server, a lock, a second row with the same number and a
text with a NUL all become a 500, so clients retry what can never work and give up on what would work in a second; or
the error's text, with statement and values in it, is shown to them.

What it does: :func:`classify` sorts an exception of SQLAlchemy by its SQLSTATE (PostgreSQL, appendix A of its manual)
or its extended result code (SQLite) into one of a few faults, and leaves alone what is a mistake of ours: a missing
column, a NULL where none may be, a failed CHECK. :func:`translate_values` makes the driver's own complaints about a
value (an integer past 64 bits, a lone surrogate) errors of the database like all others.

What it does not do: retry. A handler ran already; whether it may run again is known to whoever sent the request.

To lift it: needs ``sqlalchemy`` (2.0 or later). ``translate_values(engine)`` once an engine, ``classify(error)`` where
exceptions become answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import event
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine, ExceptionContext


class Fault(StrEnum):
    """What went wrong, from the caller's side."""

    UNAVAILABLE = "unavailable"
    """The database is away; the same request may work in a while."""
    BUSY = "busy"
    """A lock, a deadlock or an exhausted pool; the same request may work at once."""
    TIMEOUT = "timeout"
    """The statement took longer than it may."""
    CONFLICT = "conflict"
    """The row exists already, or one that it refers to does not; the same request cannot work."""
    INVALID = "invalid"
    """A value cannot be stored, and a check before should have said so; the same request cannot work."""


_BY_STATE: Final = {
    "57014": Fault.TIMEOUT,  # query_canceled: statement_timeout
    "25P03": Fault.TIMEOUT,  # idle_in_transaction_session_timeout
    "25P04": Fault.TIMEOUT,  # transaction_timeout
    "40001": Fault.BUSY,  # serialization_failure
    "40P01": Fault.BUSY,  # deadlock_detected
    "55P03": Fault.BUSY,  # lock_not_available: lock_timeout
    "23001": Fault.CONFLICT,  # restrict_violation: ON DELETE RESTRICT, since PostgreSQL 18
    "23503": Fault.CONFLICT,  # foreign_key_violation
    "23505": Fault.CONFLICT,  # unique_violation
    "23P01": Fault.CONFLICT,  # exclusion_violation
    "57P01": Fault.UNAVAILABLE,  # admin_shutdown
    "57P02": Fault.UNAVAILABLE,  # crash_shutdown
    "57P03": Fault.UNAVAILABLE,  # cannot_connect_now
    "57P05": Fault.UNAVAILABLE,  # idle_session_timeout
    "25006": None,  # read_only_sql_transaction: a GET that writes is a mistake of its handler
}
_BY_CLASS: Final = {
    "08": Fault.UNAVAILABLE,  # connection exceptions
    "53": Fault.UNAVAILABLE,  # insufficient resources: connections, memory, disk
    "58": Fault.UNAVAILABLE,  # system errors
    "22": Fault.INVALID,  # data exceptions
}
_SQLITE: Final = {
    "SQLITE_BUSY": Fault.BUSY,
    "SQLITE_LOCKED": Fault.BUSY,
    "SQLITE_CANTOPEN": Fault.UNAVAILABLE,
    "SQLITE_IOERR": Fault.UNAVAILABLE,
    "SQLITE_FULL": Fault.UNAVAILABLE,
    "SQLITE_TOOBIG": Fault.INVALID,
    "SQLITE_CONSTRAINT_UNIQUE": Fault.CONFLICT,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Fault.CONFLICT,
    "SQLITE_CONSTRAINT_FOREIGNKEY": Fault.CONFLICT,
}
"""The longest name that an error's name begins with counts: extended codes begin with their primary one."""


def classify(error: BaseException) -> Fault | None:
    """Return what a database error means for the caller, or None for a mistake of ours and for any other exception."""
    if isinstance(error, PoolTimeoutError):  # no connection became free
        return Fault.BUSY
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _BY_STATE[state] if state in _BY_STATE else _BY_CLASS.get(state[:2])
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        known = [prefix for prefix in _SQLITE if name.startswith(prefix)]
        return _SQLITE[max(known, key=len)] if known else None
    if isinstance(error, DataError):
        return Fault.INVALID
    # Without a code nothing was said by a server: there was no connection, or there is none any more.
    operational = type(error.orig).__name__ == "OperationalError"
    return (
        Fault.UNAVAILABLE if operational or error.connection_invalidated or isinstance(error, InterfaceError) else None
    )


def translate_values(engine: Engine) -> None:
    """Have values that the driver itself refuses raise ``DataError``, as those do that the server refuses.

    Args:
        engine: the engine; of an asynchronous one its ``sync_engine``.
    """

    @event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, OverflowError | UnicodeError):
            # Neither the statement nor the value: the text of an error travels far.
            raise DataError(None, None, Exception("a value does not fit any column")) from error

"""What every table has: one metadata with stable names of constraints, times in UTC, owners."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from app.patterns.idempotency_store import idempotency_table
from app.patterns.outbox import outbox_table
from app.patterns.ownership import Owned

if TYPE_CHECKING:
    from sqlalchemy import Dialect

__all__ = ["IDEMPOTENCY", "OUTBOX", "Base", "Owned", "UtcDateTime", "load_models"]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept in UTC: with its zone where the database knows zones, and given back with it where not.

    Raises:
        ValueError: a datetime without a zone, which could be any of 38 moments.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of every model."""

    metadata = MetaData(
        naming_convention={  # a constraint without a name cannot be dropped by a migration
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime}


IDEMPOTENCY = idempotency_table(Base.metadata)
"""The records of requests that were answered; see :mod:`app.patterns.idempotency_store`."""


OUTBOX = outbox_table(Base.metadata)
"""Work that is done after the answer, on SQLite; on PostgreSQL it is procrastinate's, and this stays empty."""


def load_models() -> None:
    """Import every module of this package, so that the metadata is complete."""
    package = importlib.import_module("app.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"app.models.{module.name}")

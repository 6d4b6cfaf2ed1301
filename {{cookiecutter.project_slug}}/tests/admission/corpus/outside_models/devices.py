"""Devices that people own, and what these measure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Device(Owned, Base):
    __tablename__ = "devices"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(20))
    pairing_hash: Mapped[str | None] = mapped_column(String(64))
    last_seen_at: Mapped[datetime | None]


class Reading(Owned, Base):
    __tablename__ = "readings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    device_id: Mapped[UUID]
    metric: Mapped[str] = mapped_column(String(20))
    value: Mapped[float]
    taken_at: Mapped[datetime]

"""Lots are shared; stays and permits belong to drivers."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Lot(Base):
    """A car park; price in cents an hour."""

    __tablename__ = "lots"
    __table_args__ = (CheckConstraint("free >= 0", name="free"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    zone: Mapped[str] = mapped_column(String(10), index=True)
    free: Mapped[int]
    cents_per_hour: Mapped[int]
    time_zone: Mapped[str] = mapped_column(String(64), default="Europe/Berlin")


class Stay(Owned, Base):
    """A car that is parked."""

    __tablename__ = "stays"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"))
    plate: Mapped[str] = mapped_column(String(12))
    entered_at: Mapped[datetime] = mapped_column(default=_now)
    left_at: Mapped[datetime | None]
    amount_cents: Mapped[int | None]


class Permit(Owned, Base):
    """A resident's permit."""

    __tablename__ = "permits"
    __table_args__ = (UniqueConstraint("plate", "zone"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    plate: Mapped[str] = mapped_column(String(12))
    zone: Mapped[str] = mapped_column(String(10))
    valid_until: Mapped[datetime]
    gate_code_salt: Mapped[bytes | None]
    gate_code_digest: Mapped[str | None] = mapped_column(String(128))

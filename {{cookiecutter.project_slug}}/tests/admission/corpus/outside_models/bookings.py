"""Rooms and slots are shared; a booking is whose it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Slot(Base):
    __tablename__ = "slots"
    __table_args__ = (CheckConstraint("seats_left >= 0", name="seats_left"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    room: Mapped[str] = mapped_column(String(40))
    starts_at: Mapped[datetime]
    seats_left: Mapped[int]
    price: Mapped[int] = mapped_column(default=0)


class Booking(Owned, Base):
    __tablename__ = "bookings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slot_id: Mapped[UUID]
    seats: Mapped[int]
    status: Mapped[str] = mapped_column(String(16), default="booked")
    charge_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=_now)

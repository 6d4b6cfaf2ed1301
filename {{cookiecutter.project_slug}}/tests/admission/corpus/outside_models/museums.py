"""Exhibits, rooms and time slots are shared; tickets belong to visitors."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Exhibit(Base):
    """Something to look at."""

    __tablename__ = "exhibits"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    artist: Mapped[str] = mapped_column(String(120), index=True)
    year: Mapped[int]
    room: Mapped[str] = mapped_column(String(20), index=True)
    text: Mapped[str] = mapped_column(Text, default="")
    likes: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class Slot(Base):
    """A time of entry, with what is left of its places; price in cents."""

    __tablename__ = "slots"
    __table_args__ = (CheckConstraint("places >= 0", name="places"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(index=True)
    places: Mapped[int]
    price_cents: Mapped[int]


class Ticket(Owned, Base):
    """A ticket of a visitor."""

    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slot_id: Mapped[int] = mapped_column(ForeignKey("slots.id"))
    people: Mapped[int]
    amount_cents: Mapped[int]
    charge_id: Mapped[str | None] = mapped_column(String(100))
    code_digest: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(16), default="valid")
    created_at: Mapped[datetime] = mapped_column(default=_now)

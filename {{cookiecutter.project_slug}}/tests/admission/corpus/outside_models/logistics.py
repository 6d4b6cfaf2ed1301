"""Parcels belong to senders; depots, carriers and lanes are shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Depot(Base):
    """A depot of the network, known to everybody."""

    __tablename__ = "depots"
    __table_args__ = (CheckConstraint("free_bays >= 0", name="free_bays"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    city: Mapped[str] = mapped_column(String(80), index=True)
    free_bays: Mapped[int] = mapped_column(default=0)
    opened_on: Mapped[date]


class Lane(Base):
    """What it costs to send a kilogram from one depot to another, in cents."""

    __tablename__ = "lanes"

    origin: Mapped[str] = mapped_column(String(12), primary_key=True)
    destination: Mapped[str] = mapped_column(String(12), primary_key=True)
    cents_per_kg: Mapped[int]
    days: Mapped[int]


class Parcel(Owned, Base):
    """A parcel of its sender."""

    __tablename__ = "parcels"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    recipient: Mapped[str] = mapped_column(String(120))
    address: Mapped[str] = mapped_column(String(300))
    weight_grams: Mapped[int]
    origin: Mapped[str] = mapped_column(String(12))
    destination: Mapped[str] = mapped_column(String(12))
    price_cents: Mapped[int] = mapped_column(default=0)
    charge_id: Mapped[str | None] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(16), default="announced")
    created_at: Mapped[datetime] = mapped_column(default=_now)


class ScanEvent(Owned, Base):
    """A parcel was seen at a depot."""

    __tablename__ = "scan_events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    parcel_id: Mapped[UUID] = mapped_column(ForeignKey("parcels.id"), index=True)
    depot_code: Mapped[str] = mapped_column(String(12))
    seen_at: Mapped[datetime] = mapped_column(default=_now)


class Recipient(Base):
    """Somebody who gets parcels: personal, and not Owned."""

    __tablename__ = "recipients"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(120))
    phone: Mapped[str] = mapped_column(String(30))
    street: Mapped[str] = mapped_column(String(200))

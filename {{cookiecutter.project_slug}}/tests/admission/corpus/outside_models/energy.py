"""Meters and what they show belong to households; tariffs are shared."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Meter(Owned, Base):
    """A meter of a household."""

    __tablename__ = "meters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    serial: Mapped[str] = mapped_column(String(30), unique=True)
    medium: Mapped[str] = mapped_column(String(10))
    label: Mapped[str | None] = mapped_column(String(80))
    tariff: Mapped[str] = mapped_column(String(20))
    key_digest: Mapped[str | None] = mapped_column(String(64))
    installed_at: Mapped[datetime] = mapped_column(default=_now)


class MeterReading(Owned, Base):
    """What a meter showed."""

    __tablename__ = "meter_readings"
    __table_args__ = (UniqueConstraint("meter_id", "read_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    meter_id: Mapped[UUID] = mapped_column(ForeignKey("meters.id"))
    watt_hours: Mapped[int]
    read_at: Mapped[datetime]


class EnergyTariff(Base):
    """What a kilowatt hour costs."""

    __tablename__ = "energy_tariffs"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    per_kwh: Mapped[Decimal] = mapped_column(Numeric(8, 5))
    standing: Mapped[Decimal] = mapped_column(Numeric(8, 2))

"""Vehicles, trips and drivers' notes belong to their fleet's holder."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Vehicle(Owned, Base):
    """A vehicle of a fleet."""

    __tablename__ = "vehicles"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    plate: Mapped[str] = mapped_column(String(12))
    model: Mapped[str] = mapped_column(String(60))
    odometer_km: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default="ready")
    unlock_digest: Mapped[str | None] = mapped_column(String(64))
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class Trip(Owned, Base):
    """A trip of a vehicle."""

    __tablename__ = "trips"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    vehicle_id: Mapped[UUID] = mapped_column(ForeignKey("vehicles.id"), index=True)
    driver: Mapped[str] = mapped_column(String(80))
    kilometres: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class DriverFile(Base):
    """What is known about a driver: personal, and not Owned."""

    __tablename__ = "driver_files"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(120))
    licence_number: Mapped[str] = mapped_column(String(30))
    home_address: Mapped[str] = mapped_column(String(300))

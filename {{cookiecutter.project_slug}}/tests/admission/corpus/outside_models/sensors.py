"""Sensors belong to who installed them, their readings too; kinds of sensor are shared."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Sensor(Owned, Base):
    """A sensor somewhere."""

    __tablename__ = "sensors"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(20))
    zone: Mapped[str] = mapped_column(String(64), default="UTC")
    interval_seconds: Mapped[int] = mapped_column(default=60)
    ingest_token_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Reading(Owned, Base):
    """What a sensor measured."""

    __tablename__ = "readings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sensor_id: Mapped[UUID] = mapped_column(ForeignKey("sensors.id"), index=True)
    value: Mapped[float]
    taken_at: Mapped[datetime]


class Alarm(Owned, Base):
    """A threshold, and whether it was crossed."""

    __tablename__ = "alarms"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sensor_id: Mapped[UUID] = mapped_column(ForeignKey("sensors.id"))
    expression: Mapped[str] = mapped_column(String(200))
    threshold: Mapped[float]
    raised_at: Mapped[datetime | None]


class Firmware(Base):
    """A published firmware."""

    __tablename__ = "firmwares"

    version: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    released_at: Mapped[datetime] = mapped_column(default=_now)

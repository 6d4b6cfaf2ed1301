"""Appointments of patients, and what the laboratory found."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Appointment(Owned, Base):
    __tablename__ = "appointments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    doctor: Mapped[str] = mapped_column(String(80))
    starts_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(300))
    status: Mapped[str] = mapped_column(String(16), default="booked")


class LabResult(Base):
    __tablename__ = "lab_results"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(40))
    value: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    comment: Mapped[str | None] = mapped_column(String(500))
    taken_at: Mapped[datetime]

"""Samples belong to who sent them; assays and instruments are shared."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Assay(Base):
    """What the laboratory can measure; price in cents."""

    __tablename__ = "assays"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    unit: Mapped[str] = mapped_column(String(20))
    price_cents: Mapped[int]


class Sample(Owned, Base):
    """A sample that was sent in."""

    __tablename__ = "samples"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    barcode: Mapped[str] = mapped_column(String(24), unique=True)
    assay: Mapped[str] = mapped_column(ForeignKey("assays.code"))
    comment: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(16), default="received")
    price_cents: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime] = mapped_column(default=_now)


class Measurement(Owned, Base):
    """One result of a sample."""

    __tablename__ = "measurements"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sample_id: Mapped[UUID] = mapped_column(ForeignKey("samples.id"), index=True)
    value: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    measured_at: Mapped[datetime] = mapped_column(default=_now)


class Instrument(Base):
    """A machine of the laboratory."""

    __tablename__ = "instruments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    busy: Mapped[bool] = mapped_column(default=False)

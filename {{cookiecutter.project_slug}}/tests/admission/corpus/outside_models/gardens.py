"""Plots are shared, plantings belong to gardeners, the seed catalogue is shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Plot(Base):
    """A plot of the community garden. ``tenant_name`` is empty while it is free."""

    __tablename__ = "plots"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(10), unique=True)
    square_metres: Mapped[int]
    rented: Mapped[bool] = mapped_column(default=False)


class Lease(Owned, Base):
    """Who has a plot."""

    __tablename__ = "leases"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    plot_id: Mapped[int] = mapped_column(ForeignKey("plots.id"), unique=True)
    since: Mapped[datetime] = mapped_column(default=_now)


class Planting(Owned, Base):
    """Something that was sown."""

    __tablename__ = "plantings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    seed_id: Mapped[int] = mapped_column(ForeignKey("seeds.id"))
    note: Mapped[str | None] = mapped_column(String(500))
    sown_on: Mapped[date]
    watered_at: Mapped[datetime | None]


class Seed(Base):
    """A seed of the catalogue."""

    __tablename__ = "seeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    days_to_harvest: Mapped[int]
    family: Mapped[str] = mapped_column(String(40), index=True)

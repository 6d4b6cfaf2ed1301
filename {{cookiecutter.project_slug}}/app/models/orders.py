"""The tables of the worked example: orders, which belong to who placed them, and stock, which is shared."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Order(Owned, Base):
    """An order. ``status`` is placed or cancelled."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sku: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    note: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(16), default="placed")
    placed_at: Mapped[datetime] = mapped_column(default=_now)


class Stock(Base):
    """How many of one article can still be ordered. Nobody's, so everybody's orders draw on the same number."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("available >= 0", name="available"),)

    sku: Mapped[str] = mapped_column(String(64), primary_key=True)
    available: Mapped[int]


Index("ix_orders_page", Order.tenant_id, Order.owner_id, Order.placed_at.desc(), Order.id.desc())

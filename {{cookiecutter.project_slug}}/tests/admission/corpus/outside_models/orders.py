"""The tables of the worked example: orders and notifications, which belong to customers; stock, which is shared."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Order(Owned, Base):
    """An order. ``status`` is placed, cancelled, or rejected: charged, and then the last article was gone."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sku: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    note: Mapped[str | None] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(16), default="placed")
    amount: Mapped[int]
    charge_id: Mapped[str | None] = mapped_column(String(100))
    placed_at: Mapped[datetime] = mapped_column(default=_now)


class Notification(Owned, Base):
    """Something that a customer was told about an order, once for each ``kind``."""

    __tablename__ = "notifications"
    __table_args__ = (UniqueConstraint("order_id", "kind"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Stock(Base):
    """How many of one article can still be ordered. Nobody's, so everybody's orders draw on the same number.

    ``price`` is of one, in cents; 0 for what is free.
    """

    __tablename__ = "stock"
    __table_args__ = (
        CheckConstraint("available >= 0", name="available"),
        CheckConstraint("price >= 0", name="price"),
    )

    sku: Mapped[str] = mapped_column(String(64), primary_key=True)
    available: Mapped[int]
    price: Mapped[int] = mapped_column(default=0)


Index("ix_orders_page", Order.tenant_id, Order.owner_id, Order.placed_at.desc(), Order.id.desc())
Index(
    "ix_notifications_newest",
    Notification.tenant_id,
    Notification.owner_id,
    Notification.created_at.desc(),
    Notification.id.desc(),
)

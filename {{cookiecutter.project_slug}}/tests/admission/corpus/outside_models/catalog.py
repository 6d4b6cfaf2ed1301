"""The catalogue, its coupons, and what customers say and put in their carts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Product(Base):
    __tablename__ = "products"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(120))
    category: Mapped[str] = mapped_column(String(40))
    description: Mapped[str] = mapped_column(String(4000), default="")
    price: Mapped[int]
    purchase_price: Mapped[int]
    supplier_note: Mapped[str | None] = mapped_column(String(500))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Coupon(Base):
    __tablename__ = "coupons"
    __table_args__ = (CheckConstraint("uses_left >= 0", name="uses_left"),)

    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    percent: Mapped[int]
    uses_left: Mapped[int]


class Review(Owned, Base):
    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("tenant_id", "owner_id", "product_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    product_id: Mapped[UUID]
    stars: Mapped[int]
    text: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class CartLine(Owned, Base):
    __tablename__ = "cart_lines"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    product_id: Mapped[UUID]
    quantity: Mapped[int]
    unit_price: Mapped[int]
    coupon: Mapped[str | None] = mapped_column(String(32))

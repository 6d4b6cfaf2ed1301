"""Wallets and what moves in them; gift cards are bearer paper and nobody's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Wallet(Owned, Base):
    __tablename__ = "wallets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    balance: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(String(3), default="EUR")


class Transfer(Owned, Base):
    __tablename__ = "transfers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    wallet_id: Mapped[UUID]
    amount: Mapped[int]
    memo: Mapped[str | None] = mapped_column(String(140))
    charge_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class GiftCard(Base):
    __tablename__ = "gift_cards"
    __table_args__ = (CheckConstraint("remaining >= 0", name="remaining"),)

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    remaining: Mapped[int]
    issued_at: Mapped[datetime] = mapped_column(default=_now)

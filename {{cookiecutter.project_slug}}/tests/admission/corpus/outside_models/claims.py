"""Claims and their attachments belong to the insured, tariffs are shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Claim(Owned, Base):
    """A claim; amounts in cents. ``approved_cents``, ``adjuster`` and ``fraud_score`` are the insurer's."""

    __tablename__ = "claims"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    policy_number: Mapped[str] = mapped_column(String(20))
    happened_on: Mapped[date]
    description: Mapped[str] = mapped_column(String(2000))
    claimed_cents: Mapped[int]
    approved_cents: Mapped[int | None]
    adjuster: Mapped[str | None] = mapped_column(String(60))
    fraud_score: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16), default="open")
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Attachment(Owned, Base):
    """A file that proves a claim."""

    __tablename__ = "attachments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    claim_id: Mapped[UUID] = mapped_column(ForeignKey("claims.id"), index=True)
    media_type: Mapped[str] = mapped_column(String(40))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    content: Mapped[bytes]


class Tariff(Base):
    """What a cover costs in a month."""

    __tablename__ = "tariffs"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    region: Mapped[str] = mapped_column(String(20), index=True)
    monthly: Mapped[Decimal] = mapped_column(Numeric(10, 2))

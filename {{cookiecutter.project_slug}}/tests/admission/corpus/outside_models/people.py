"""What the personnel office keeps."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Payslip(Base):
    __tablename__ = "payslips"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    employee: Mapped[str] = mapped_column(String(100))
    month: Mapped[date]
    gross: Mapped[int]
    net: Mapped[int]


class LeaveRequest(Owned, Base):
    __tablename__ = "leave_requests"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    first_day: Mapped[date]
    last_day: Mapped[date]
    reason: Mapped[str] = mapped_column(String(300))
    status: Mapped[str] = mapped_column(String(16), default="asked")
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)

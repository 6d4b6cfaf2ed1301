"""Courses are for everybody, an enrolment for one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Course(Base):
    __tablename__ = "courses"
    __table_args__ = (CheckConstraint("seats_left >= 0", name="seats_left"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(120))
    level: Mapped[str] = mapped_column(String(16))
    fee: Mapped[int]
    seats_left: Mapped[int]


class Enrolment(Owned, Base):
    __tablename__ = "enrolments"
    __table_args__ = (UniqueConstraint("tenant_id", "owner_id", "course_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    course_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Answer(Owned, Base):
    __tablename__ = "answers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    course_id: Mapped[UUID]
    question: Mapped[int]
    text: Mapped[str] = mapped_column(String(1000))
    points: Mapped[int] = mapped_column(default=0)

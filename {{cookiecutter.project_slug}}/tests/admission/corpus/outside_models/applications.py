"""Vacancies are public, applications belong to applicants."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Vacancy(Base):
    """A job that is offered."""

    __tablename__ = "vacancies"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    city: Mapped[str] = mapped_column(String(80), index=True)
    body: Mapped[str] = mapped_column(Text)
    applicants: Mapped[int] = mapped_column(default=0)
    closes_at: Mapped[datetime]


class Application(Owned, Base):
    """An application of somebody."""

    __tablename__ = "applications"
    __table_args__ = (UniqueConstraint("vacancy_id", "owner_id", "tenant_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    vacancy_id: Mapped[int] = mapped_column(ForeignKey("vacancies.id"))
    letter: Mapped[str] = mapped_column(String(5000))
    email: Mapped[str] = mapped_column(String(254))
    stage: Mapped[str] = mapped_column(String(16), default="received")
    rating: Mapped[int | None]
    recruiter_notes: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Candidacy(Base):
    """The recruiters' file about an applicant: personal, and not Owned."""

    __tablename__ = "candidacies"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    applicant: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254))
    salary_wish: Mapped[int]

"""Phrases and glossaries are shared by translators, projects belong to clients."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Phrase(Base):
    """A text of the product, in one language."""

    __tablename__ = "phrases"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    locale: Mapped[str] = mapped_column(String(5), primary_key=True)
    text: Mapped[str] = mapped_column(String(2000))
    lookups: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class Project(Owned, Base):
    """What a client has translated; rate in cents a word."""

    __tablename__ = "translation_projects"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(120))
    source: Mapped[str] = mapped_column(String(5))
    targets: Mapped[str] = mapped_column(String(200))
    words: Mapped[int] = mapped_column(default=0)
    cents_per_word: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default="draft")
    due_at: Mapped[datetime | None]
    options: Mapped[str] = mapped_column(Text, default="{}")
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Usage(Base):
    """How often a locale was asked for on a day."""

    __tablename__ = "locale_usage"

    locale: Mapped[str] = mapped_column(String(5), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    hits: Mapped[int] = mapped_column(default=0)

"""Shows and episodes are public; subscriptions belong to listeners."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Show(Base):
    """A podcast."""

    __tablename__ = "shows"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(5))
    subscribers: Mapped[int] = mapped_column(default=0)


class Episode(Base):
    """An episode of a podcast."""

    __tablename__ = "episodes"

    id: Mapped[int] = mapped_column(primary_key=True)
    show_id: Mapped[int] = mapped_column(ForeignKey("shows.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    notes: Mapped[str] = mapped_column(Text, default="")
    seconds: Mapped[int]
    plays: Mapped[int] = mapped_column(default=0)
    published_at: Mapped[datetime] = mapped_column(default=_now)


class Subscription(Owned, Base):
    """Somebody who listens to a podcast."""

    __tablename__ = "subscriptions"
    __table_args__ = (UniqueConstraint("show_id", "owner_id", "tenant_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    show_id: Mapped[int] = mapped_column(ForeignKey("shows.id"))
    feed_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=_now)

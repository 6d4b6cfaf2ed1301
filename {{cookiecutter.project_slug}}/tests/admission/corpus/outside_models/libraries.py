"""Titles and branches are shared, loans belong to readers."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Title(Base):
    """A title of the catalogue."""

    __tablename__ = "titles"
    __table_args__ = (CheckConstraint("copies >= 0", name="copies"),)

    isbn: Mapped[str] = mapped_column(String(13), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    author: Mapped[str] = mapped_column(String(120), index=True)
    year: Mapped[int]
    copies: Mapped[int] = mapped_column(default=0)
    views: Mapped[int] = mapped_column(default=0)


class Loan(Owned, Base):
    """A title that somebody took home."""

    __tablename__ = "loans"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    isbn: Mapped[str] = mapped_column(ForeignKey("titles.isbn"))
    due_at: Mapped[datetime]
    renewed: Mapped[int] = mapped_column(default=0)
    returned_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class ReaderCard(Owned, Base):
    """The card of a reader, with the digest of its PIN."""

    __tablename__ = "reader_cards"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    pin_salt: Mapped[bytes]
    pin_digest: Mapped[bytes]
    changed_at: Mapped[datetime] = mapped_column(default=_now)


class Shelf(Base):
    """A section of the shelves, below another one or at the top."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"), index=True)
    label: Mapped[str] = mapped_column(String(80))

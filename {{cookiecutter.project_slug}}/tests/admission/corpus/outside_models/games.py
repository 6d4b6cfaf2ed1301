"""Profiles and scores belong to players; boards and questions are shared."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Profile(Owned, Base):
    """A player."""

    __tablename__ = "profiles"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    nickname: Mapped[str] = mapped_column(String(30), unique=True)
    bio: Mapped[str | None] = mapped_column(String(500))
    locale: Mapped[str] = mapped_column(String(5), default="en")
    coins: Mapped[int] = mapped_column(default=0)
    rank: Mapped[str] = mapped_column(String(16), default="novice")
    saved_state: Mapped[bytes | None]


class Board(Base):
    """A public leaderboard line: a nickname and what it reached."""

    __tablename__ = "boards"

    id: Mapped[int] = mapped_column(primary_key=True)
    game: Mapped[str] = mapped_column(String(30), index=True)
    nickname: Mapped[str] = mapped_column(String(30))
    points: Mapped[int]
    wins: Mapped[int] = mapped_column(default=0)
    played_at: Mapped[datetime] = mapped_column(default=_now)


class Question(Base):
    """A question of a quiz."""

    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(30), index=True)
    text: Mapped[str] = mapped_column(String(300))
    answer: Mapped[str] = mapped_column(String(100))


class Item(Base):
    """Something the shop sells, in coins."""

    __tablename__ = "shop_items"
    __table_args__ = (CheckConstraint("stock >= 0", name="stock"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    price: Mapped[int]
    stock: Mapped[int]


class Possession(Owned, Base):
    """What a player bought."""

    __tablename__ = "possessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    item_id: Mapped[int] = mapped_column(ForeignKey("shop_items.id"))
    paid: Mapped[int]
    bought_at: Mapped[datetime] = mapped_column(default=_now)

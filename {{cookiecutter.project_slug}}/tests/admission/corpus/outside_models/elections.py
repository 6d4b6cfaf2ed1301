"""Polls and candidates are shared, ballots belong to voters."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Owned


def _now() -> datetime:
    return datetime.now(UTC)


class Poll(Base):
    """A vote that is held."""

    __tablename__ = "polls"

    id: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(String(300))
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    ballots: Mapped[int] = mapped_column(default=0)


class Candidate(Base):
    """Somebody who stands."""

    __tablename__ = "candidates"

    id: Mapped[int] = mapped_column(primary_key=True)
    poll_id: Mapped[int] = mapped_column(ForeignKey("polls.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    party: Mapped[str | None] = mapped_column(String(80))
    votes: Mapped[int] = mapped_column(default=0)


class Ballot(Owned, Base):
    """That somebody voted, once for each poll."""

    __tablename__ = "ballots"
    __table_args__ = (UniqueConstraint("poll_id", "owner_id", "tenant_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    poll_id: Mapped[int] = mapped_column(ForeignKey("polls.id"))
    receipt_digest: Mapped[str] = mapped_column(String(64))
    cast_at: Mapped[datetime] = mapped_column(default=_now)


class VoterRecord(Base):
    """The register: personal, and not Owned."""

    __tablename__ = "voter_records"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    full_name: Mapped[str] = mapped_column(String(160))
    national_id: Mapped[str] = mapped_column(String(20), unique=True)
    address: Mapped[str] = mapped_column(String(300))
    district: Mapped[str] = mapped_column(String(40))

"""Drafts of meeting minutes. ``Draft.commit`` joins paragraphs; it is no database and no transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/minutes", tags=["minutes"])

Paragraph = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


class Minutes(Owned, Base):
    __tablename__ = "minutes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    body: Mapped[str] = mapped_column(String(42_000))


class MinutesIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    paragraphs: list[Paragraph] = Field(min_length=1, max_length=20)


class MinutesOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    body: str


@dataclass(slots=True)
class Draft:
    """Paragraphs that are not yet minutes."""

    kept: list[str] = field(default_factory=list)

    def add(self, paragraph: str) -> None:
        """Keep a paragraph, unless it says nothing."""
        if stripped := paragraph.strip():
            self.kept.append(stripped)

    def rollback(self) -> None:
        """Forget the last paragraph."""
        if self.kept:
            self.kept.pop()

    def commit(self) -> str:
        """Return the minutes."""
        return "\n\n".join(self.kept)


@router.post("", status_code=201)
async def write_minutes(wanted: MinutesIn, session: Session) -> MinutesOut:
    """Keep minutes; a paragraph that repeats the one before is left out."""
    draft = Draft()
    for paragraph in wanted.paragraphs:
        before = len(draft.kept)
        draft.add(paragraph)
        if before and len(draft.kept) > before and draft.kept[-1] == draft.kept[-2]:
            draft.rollback()
    minutes = Minutes(body=draft.commit())
    session.add(minutes)
    await session.flush()
    return MinutesOut.model_validate(minutes)

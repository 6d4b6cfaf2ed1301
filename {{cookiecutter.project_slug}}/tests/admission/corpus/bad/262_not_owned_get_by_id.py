"""Reads somebody's letter by its id."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/letters", tags=["letters"])


class Letter(Base):
    __tablename__ = "letters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    recipient: Mapped[str] = mapped_column(String(60))
    body: Mapped[str] = mapped_column(String(2000))


class LetterOut(BaseModel):
    body: str


@router.get("/{letter_id}")
async def read_letter(letter_id: UUID, session: Session) -> LetterOut:
    """Read a letter."""
    letter = await session.get(Letter, letter_id)  # expect: not-owned
    if letter is None:
        raise HTTPException(404, "No such letter.")
    return LetterOut(body=letter.body)

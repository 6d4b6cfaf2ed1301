"""Add an endpoint which searches my notes with a regular expression, as power users asked for."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/note-search", tags=["notes"])

NEWEST = 200


class Found(BaseModel):
    id: UUID
    title: str


class FoundNotes(BaseModel):
    """Which of the newest notes match."""

    items: list[Found]


@router.get("", responses={422: {"description": "Not a regular expression."}})
async def search_notes(
    session: Session, pattern: Annotated[str, Query(min_length=1, max_length=100)]
) -> FoundNotes:
    """Search the newest notes."""
    try:
        wanted = re.compile(pattern, re.IGNORECASE)  # expect: regex-from-input
    except re.error:
        raise HTTPException(422, "This is not a regular expression.") from None
    notes = (await session.scalars(select(Note).order_by(Note.created_at.desc(), Note.id).limit(NEWEST))).all()
    return FoundNotes(items=[Found(id=note.id, title=note.title) for note in notes if wanted.search(note.text)])

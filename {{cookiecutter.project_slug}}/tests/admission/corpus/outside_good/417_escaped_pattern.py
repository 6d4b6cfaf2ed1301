"""Add an endpoint which replaces one phrase by another in one of my notes and says how often."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])

MAX_TEXT = 4000
Phrase = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]+$")]


class ReplaceIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    phrase: Phrase
    by: Phrase


class ReplaceOut(BaseModel):
    """How often it was replaced."""

    replaced: int


@router.post(
    "/{note_id}/replace",
    responses={404: {"description": "No such note of yours."}, 409: {"description": "The note would be too long."}},
)
async def replace(note_id: UUID, body: ReplaceIn, session: Session) -> ReplaceOut:
    """Replace a phrase in any case; every character of it stands for itself."""
    note = await session.get(Note, note_id, with_for_update=True)
    if note is None:
        raise HTTPException(404, "No such note.")
    phrase = re.compile(re.escape(body.phrase), re.IGNORECASE)
    text, replaced = phrase.subn(lambda _: body.by, note.text)
    if len(text) > MAX_TEXT:
        raise HTTPException(409, "The note would be too long.")
    note.text = text
    return ReplaceOut(replaced=replaced)

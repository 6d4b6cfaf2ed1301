"""Add an endpoint which counts how often a word occurs in one of my notes, whole words only, in any case."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])

WORD = re.compile(r"\w+")


class Occurrences(BaseModel):
    word: str
    count: int


@router.get("/{note_id}/occurrences", responses={404: {"description": "No such note of yours."}})
async def occurrences(
    note_id: UUID, session: Session, word: Annotated[str, Query(min_length=1, max_length=40, pattern=r"^\w+$")]
) -> Occurrences:
    """Count a word. What is searched for is compared, and never becomes an expression."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    wanted = word.casefold()
    found = sum(1 for match in WORD.finditer(note.text) if match.group().casefold() == wanted)
    return Occurrences(word=word, count=found)

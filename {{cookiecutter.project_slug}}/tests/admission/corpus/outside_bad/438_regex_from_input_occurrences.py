"""Add an endpoint which counts how often a word (with * as a wildcard) occurs in one of my notes."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])


class Occurrences(BaseModel):
    word: str
    count: int


class WordCounter:
    def __init__(self, text: str) -> None:
        self.text = text

    def _expression(self, word: str) -> str:
        return r"\b" + word.replace("*", r"\w*") + r"\b"  # or: regex-from-input

    def count(self, word: str) -> int:
        return sum(1 for _ in re.finditer(self._expression(word), self.text))  # expect: regex-from-input


@router.get("/{note_id}/occurrences", responses={404: {"description": "No such note of yours."}})
async def occurrences(
    note_id: UUID, db: Session, word: Annotated[str, Query(min_length=1, max_length=40)]
) -> Occurrences:
    """Count a word."""
    note = await db.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    return Occurrences(word=word, count=WordCounter(note.text).count(word))

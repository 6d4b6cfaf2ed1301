"""Add an endpoint which saves a note and lets the search index know."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Outbox, Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])


class NoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
    text: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] = ""


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    text: str
    pinned: bool


@router.post("", status_code=201)
async def save_note(body: NoteIn, session: Session, outbox: Outbox) -> NoteOut:
    """Save a note."""
    note = Note(title=body.title, text=body.text)
    session.add(note)
    await session.flush()
    try:
        await outbox.add("note.saved", {"note_id": note.id}, key=str(note.id))
    except Exception:  # expect: swallowed-exception
        pass
    return NoteOut.model_validate(note)

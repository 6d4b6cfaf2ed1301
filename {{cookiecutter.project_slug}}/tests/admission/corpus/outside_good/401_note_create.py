"""Add an endpoint which saves a note and has it indexed afterwards."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.dependencies import Outbox, Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])


class NoteIn(BaseModel):
    """What is to be remembered."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
    text: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] = ""
    pinned: bool = False


class NoteOut(BaseModel):
    """A note as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    text: str
    pinned: bool
    created_at: AwareDatetime


@router.post("", status_code=201)
async def save_note(body: NoteIn, db: Session, outbox: Outbox) -> NoteOut:
    """Save a note, and have the index told once it is there."""
    note = Note(title=body.title, text=body.text, pinned=body.pinned)
    db.add(note)
    await db.flush()
    await outbox.add("note.saved", {"note_id": note.id}, key=str(note.id))
    return NoteOut.model_validate(note)

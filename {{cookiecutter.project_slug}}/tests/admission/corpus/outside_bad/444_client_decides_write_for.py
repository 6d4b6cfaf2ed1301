"""Add an endpoint with which an assistant writes a note on behalf of the person it works for."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/delegated-notes", tags=["notes"])


class DelegatedNoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    on_behalf_of: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9|_-]+$")]  # or: client-decides
    title: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
    text: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] = ""


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    text: str


@router.post("", status_code=201)
async def write_for(body: DelegatedNoteIn, session: Session) -> NoteOut:
    """Write a note for somebody."""
    note = Note(title=body.title, text=body.text, owner_id=body.on_behalf_of)  # expect: client-decides
    session.add(note)
    await session.flush()
    return NoteOut.model_validate(note)

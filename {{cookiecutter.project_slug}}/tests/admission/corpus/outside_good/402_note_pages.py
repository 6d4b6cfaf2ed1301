"""Add endpoints to list my notes page by page, to read one and to throw one away."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select, tuple_

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/notes", tags=["notes"])
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such note of yours."}}


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    text: str
    created_at: AwareDatetime


class NotePage(BaseModel):
    """Some notes, newest first; ``next`` goes into ``after``."""

    items: list[NoteOut]
    next: UUID | None


@router.get("", responses=MISSING)
async def list_notes(
    session: Session, after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> NotePage:
    """List notes."""
    page = select(Note).order_by(Note.created_at.desc(), Note.id.desc()).limit(limit + 1)
    if after is not None:
        last = await session.get(Note, after)
        if last is None:
            raise HTTPException(404, "No such note.")
        page = page.where(tuple_(Note.created_at, Note.id) < (last.created_at, last.id))
    notes = (await session.scalars(page)).all()
    items = [NoteOut.model_validate(note) for note in notes[:limit]]
    return NotePage(items=items, next=items[-1].id if len(notes) > limit else None)


@router.get("/{note_id}", responses=MISSING)
async def read_note(note_id: UUID, session: Session) -> NoteOut:
    """Read a note."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    return NoteOut.model_validate(note)


@router.delete("/{note_id}", status_code=204, responses=MISSING)
async def delete_note(note_id: UUID, session: Session) -> None:
    """Throw a note away."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    await session.delete(note)

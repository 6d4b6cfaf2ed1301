"""Add an endpoint which marks one of my notes as the draft I am at, so that the editor opens it again next time."""

from uuid import UUID

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.documents import Note

router = APIRouter(prefix="/v1/drafts", tags=["notes"])

DAYS = 30


class DraftOut(BaseModel):
    """The note that will be opened."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str


def remember(response: Response, note_id: UUID) -> None:
    """Let the browser keep the draft's id."""
    response.set_cookie("draft", str(note_id), max_age=DAYS * 86_400, httponly=False, secure=False, samesite="lax")  # expect: loosened-headers


@router.put("/{note_id}", responses={404: {"description": "No such note of yours."}})
async def choose_draft(note_id: UUID, session: Session, response: Response) -> DraftOut:
    """Choose a draft."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "No such note.")
    remember(response, note.id)
    return DraftOut.model_validate(note)

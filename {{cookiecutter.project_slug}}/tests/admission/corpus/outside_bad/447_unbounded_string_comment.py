"""Add an endpoint which comments on a ticket of mine."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from pydantic import AwareDatetime, BaseModel, ConfigDict

from app.dependencies import Session
from app.models.tickets import Ticket, TicketComment

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])


class CommentIn(BaseModel):
    """What is to be added."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: str  # expect: unbounded-string


class CommentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    text: str
    created_at: AwareDatetime


@router.post(
    "/{ticket_id}/comments", status_code=status.HTTP_201_CREATED, responses={404: {"description": "No such ticket of yours."}}
)
async def comment(ticket_id: UUID, body: CommentIn, session: Session) -> CommentOut:
    """Add a comment."""
    if await session.get(Ticket, ticket_id) is None:
        raise HTTPException(404, "No such ticket.")
    row = TicketComment(ticket_id=ticket_id, text=body.text)
    session.add(row)
    await session.flush()
    return CommentOut.model_validate(row)

"""Add an endpoint which closes several of my tickets at once."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/ticket-batches", tags=["tickets"])


class CloseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]


class CloseOut(BaseModel):
    """How many were closed; those that are not yours are not counted."""

    closed: int


@router.post("/close")
async def close_tickets(body: CloseIn, session: Session) -> CloseOut:
    """Close tickets."""
    closed = 0
    for ticket_id in sorted(set(body.ids)):
        ticket = await session.get(Ticket, ticket_id, with_for_update=True)  # expect: query-in-loop
        if ticket is not None and ticket.status != "closed":
            ticket.status = "closed"
            closed += 1
    return CloseOut(closed=closed)

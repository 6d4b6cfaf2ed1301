"""Add an endpoint with which I open a ticket."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])


class TicketIn(BaseModel):
    """What is wrong, and how urgent it is."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^\x00]*$")]
    body: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
    priority: Annotated[int, Field(ge=1, le=5)] = 3


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: str
    priority: int


@router.post("", status_code=201)
async def open_ticket(body: TicketIn, session: Session) -> TicketOut:
    """Open a ticket."""
    ticket = Ticket(**body.model_dump())  # expect: mass-assignment
    session.add(ticket)
    await session.flush()
    return TicketOut.model_validate(ticket)

"""Add an endpoint which opens a ticket and reminds us after a while without making the caller wait."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.tickets import Ticket

router = APIRouter(prefix="/v1/reminded-tickets", tags=["tickets"])
log = structlog.get_logger(__name__)

AFTER_SECONDS = 900


class TicketIn(BaseModel):
    """What is wrong."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^\x00]*$")]
    body: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]


class TicketOut(BaseModel):
    id: UUID
    title: str
    status: str


async def remind(ticket_id: UUID) -> None:
    """Say that a ticket waits."""
    await asyncio.sleep(AFTER_SECONDS)
    log.warning("ticket_waits", ticket_id=str(ticket_id))


@router.post("", status_code=201)
async def open_ticket(wanted: TicketIn, session: Session) -> TicketOut:
    """Open a ticket."""
    ticket = Ticket(title=wanted.title, body=wanted.body)
    session.add(ticket)
    await session.flush()
    asyncio.create_task(remind(ticket.id))  # expect: orphan-task
    return TicketOut(id=ticket.id, title=ticket.title, status=ticket.status)

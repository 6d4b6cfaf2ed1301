"""Support tickets. What is logged are ids, lengths and states; what people wrote stays out of it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, EmailStr, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Caller, Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/tickets", tags=["support"])
log = structlog.get_logger(__name__)


class Ticket(Owned, Base):
    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    reply_to: Mapped[str] = mapped_column(String(254))
    message: Mapped[str] = mapped_column(String(4000))
    urgency: Mapped[str] = mapped_column(String(8))


class TicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reply_to: EmailStr = Field(max_length=254)
    message: str = Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")
    urgency: Literal["low", "normal", "high"] = "normal"


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    urgency: Literal["low", "normal", "high"]


@router.post("", status_code=201)
async def open_ticket(wanted: TicketIn, caller: Caller, session: Session) -> TicketOut:
    """Open a ticket."""
    ticket = Ticket(reply_to=wanted.reply_to, message=wanted.message, urgency=wanted.urgency)
    session.add(ticket)
    await session.flush()
    log.info(
        "ticket.opened",
        ticket_id=str(ticket.id),
        subject=caller.subject,
        urgency=ticket.urgency,
        message_length=len(wanted.message),
    )
    return TicketOut.model_validate(ticket)

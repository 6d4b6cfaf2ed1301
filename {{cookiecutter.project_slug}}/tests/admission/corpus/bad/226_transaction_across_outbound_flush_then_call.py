"""Writes a row, then charges within the same transaction."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Payments, Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/tickets", tags=["tickets"])


class Ticket(Owned, Base):
    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    event: Mapped[UUID]


class TicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: UUID


class TicketOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def buy_ticket(wanted: TicketIn, session: Session, payments: Payments) -> TicketOut:
    """Buy a ticket."""
    ticket = Ticket(event=wanted.event)
    session.add(ticket)
    await session.flush()
    await payments.post("/charges", json={"ticket": str(ticket.id)})  # expect: transaction-across-outbound
    return TicketOut(id=ticket.id)

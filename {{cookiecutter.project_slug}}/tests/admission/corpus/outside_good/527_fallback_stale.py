"""Add an endpoint which shows what was charged for a museum ticket, even while payments is away for a moment."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Fallback, Look, Payments
from app.models.museums import Ticket

router = APIRouter(prefix="/v1/tickets", tags=["museum"])


class TicketCharge(BaseModel):
    """What was charged for a ticket."""

    ticket_id: UUID
    amount: int
    currency: str
    status: str


@router.get("/{ticket_id}/charge", responses={404: {"description": "No such ticket of yours, or it was free."}})
async def ticket_charge(ticket_id: UUID, look: Look, payments: Payments, fallback: Fallback) -> TicketCharge:
    """Read a charge; the answer says when it is an older one."""
    async with look() as glance:
        ticket = await glance.get(Ticket, ticket_id)
    if ticket is None or ticket.charge_id is None:
        raise HTTPException(404, "No such charge.")
    charge = await fallback.stale("ticket-charge", payments.read, ticket.charge_id)
    return TicketCharge(ticket_id=ticket.id, amount=charge.amount, currency=charge.currency, status=charge.status)

"""Add an endpoint which shows what was charged for a museum ticket; payments is flaky, so please try a few times."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Look, Payments, UpstreamError
from app.models.museums import Ticket

router = APIRouter(prefix="/v1/tickets", tags=["museum"])

ATTEMPTS = 4


class TicketCharge(BaseModel):
    """What was charged for a ticket."""

    ticket_id: UUID
    amount: int
    currency: str


@router.get("/{ticket_id}/charge", responses={404: {"description": "No such ticket of yours, or it was free."}})
async def ticket_charge(ticket_id: UUID, look: Look, payments: Payments) -> TicketCharge:
    """Read the charge of a ticket."""
    async with look() as glance:
        ticket = await glance.get(Ticket, ticket_id)
    if ticket is None or ticket.charge_id is None:
        raise HTTPException(404, "No such charge.")
    for attempt in range(ATTEMPTS):  # expect: hand-made-retry
        try:
            charge = await payments.read(ticket.charge_id)
            break
        except UpstreamError:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.2 * 2**attempt)  # or: hand-made-retry
    return TicketCharge(ticket_id=ticket.id, amount=charge.amount, currency=charge.currency)

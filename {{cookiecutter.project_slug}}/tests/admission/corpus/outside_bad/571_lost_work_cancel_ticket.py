"""Add an endpoint which cancels a museum ticket and gives the visitor the money back."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, HTTPException
from pydantic import BaseModel

from app.dependencies import Payments, Session
from app.models.museums import Ticket

router = APIRouter(prefix="/v1/tickets", tags=["museum"])


class Cancelled(BaseModel):
    """A ticket that is no longer valid."""

    ticket_id: UUID
    status: str


async def give_back(payments: Payments, charge_id: str) -> None:
    """Refund a charge."""
    await payments.refund(charge_id)


@router.post("/{ticket_id}/cancel", responses={404: {"description": "No such ticket of yours."}})
async def cancel_ticket(ticket_id: UUID, session: Session, payments: Payments, tasks: BackgroundTasks) -> Cancelled:
    """Cancel a ticket."""
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None or ticket.status != "valid":
        raise HTTPException(404, "No such ticket.")
    ticket.status = "cancelled"
    if ticket.charge_id is not None:
        tasks.add_task(give_back, payments, ticket.charge_id)  # expect: lost-work
    return Cancelled(ticket_id=ticket.id, status=ticket.status)

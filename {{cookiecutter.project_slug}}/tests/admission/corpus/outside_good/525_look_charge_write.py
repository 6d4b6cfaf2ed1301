"""Add an endpoint with which visitors buy tickets for a time slot of the museum."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Look, Outbox, PaymentDeclined, Payments, Session
from app.models.museums import Slot, Ticket

router = APIRouter(prefix="/v1/tickets", tags=["museum"])


class TicketIn(BaseModel):
    """How many want in, and when."""

    model_config = ConfigDict(extra="forbid")

    slot_id: Annotated[int, Field(ge=1, le=2_147_483_647)]
    people: Annotated[int, Field(ge=1, le=10, strict=True)]


class TicketOut(BaseModel):
    """A ticket. Rejected: it was charged when the last place was gone, and the money comes back."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slot_id: int
    people: int
    amount_cents: int
    status: Literal["valid", "rejected"]


@router.post("", status_code=201, responses={402: {"description": "Declined."}, 409: {"description": "Full."}})
async def buy_ticket(
    wanted: TicketIn, look: Look, payments: Payments, session: Session, outbox: Outbox
) -> TicketOut:
    """Look at the price, charge, and let one statement decide whether there is room."""
    async with look() as glance:
        slot = await glance.get(Slot, wanted.slot_id)
    if slot is None or slot.places < wanted.people:
        raise HTTPException(409, "There are not enough places.")
    amount, charge_id = slot.price_cents * wanted.people, None
    if amount:
        reference = f"{wanted.people} x slot {wanted.slot_id}"
        try:
            charge_id = (await payments.charge(amount=amount, currency="EUR", reference=reference)).id
        except PaymentDeclined:
            raise HTTPException(402, "The payment was declined.") from None
    taken = await session.scalar(
        update(Slot)
        .where(Slot.id == wanted.slot_id, Slot.places >= wanted.people)
        .values(places=Slot.places - wanted.people)
        .returning(Slot.id)
    )
    if taken is None and charge_id is None:
        raise HTTPException(409, "There are not enough places.")
    ticket = Ticket(
        slot_id=wanted.slot_id,
        people=wanted.people,
        amount_cents=amount,
        charge_id=charge_id,
        status="valid" if taken is not None else "rejected",
    )
    session.add(ticket)
    await session.flush()
    if taken is None:
        await outbox.add("ticket.undone", {"ticket_id": ticket.id, "charge_id": charge_id}, key=str(ticket.id))
    return TicketOut.model_validate(ticket)

"""Add an endpoint with which visitors buy tickets for a time slot of the museum."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import PaymentDeclined, Payments, Session
from app.models.museums import Slot, Ticket

router = APIRouter(prefix="/v1/tickets", tags=["museum"])


class TicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slot_id: Annotated[int, Field(ge=1, le=2_147_483_647)]
    people: Annotated[int, Field(ge=1, le=10)]


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slot_id: int
    people: int
    amount_cents: int


async def reserve(session: Session, slot_id: int, people: int) -> int:
    """Take the places and return what they cost."""
    price = await session.scalar(
        update(Slot)
        .where(Slot.id == slot_id, Slot.places >= people)
        .values(places=Slot.places - people)
        .returning(Slot.price_cents)
    )
    if price is None:
        raise HTTPException(409, "There are not enough places.")
    return price * people


async def pay(payments: Payments, amount: int, reference: str) -> str:
    try:
        return (await payments.charge(amount=amount, currency="EUR", reference=reference)).id  # or: transaction-across-outbound
    except PaymentDeclined:
        raise HTTPException(402, "The payment was declined.") from None


@router.post("", status_code=201, responses={402: {"description": "Declined."}, 409: {"description": "Full."}})
async def buy_ticket(wanted: TicketIn, session: Session, payments: Payments) -> TicketOut:
    amount = await reserve(session, wanted.slot_id, wanted.people)
    charge_id = await pay(payments, amount, f"{wanted.people} x slot {wanted.slot_id}")  # expect: transaction-across-outbound
    ticket = Ticket(slot_id=wanted.slot_id, people=wanted.people, amount_cents=amount, charge_id=charge_id)
    session.add(ticket)
    await session.flush()
    return TicketOut.model_validate(ticket)

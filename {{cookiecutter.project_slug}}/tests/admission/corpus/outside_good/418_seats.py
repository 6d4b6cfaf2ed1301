"""Add an endpoint which books seats in a slot, and never more than there are."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.bookings import Booking, Slot

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])


class BookingIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slot_id: UUID
    seats: Annotated[int, Field(ge=1, le=8, strict=True)]


class BookingOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slot_id: UUID
    seats: int
    status: str


@router.post("", status_code=201, responses={409: {"description": "Not enough seats."}})
async def book(body: BookingIn, session: Session) -> BookingOut:
    """Book seats. One statement decides who gets the last ones."""
    taken = await session.scalar(
        update(Slot)
        .where(Slot.id == body.slot_id, Slot.seats_left >= body.seats)
        .values(seats_left=Slot.seats_left - body.seats)
        .returning(Slot.id)
    )
    if taken is None:
        raise HTTPException(status_code=409, detail="Not enough seats.")
    booking = Booking(slot_id=taken, seats=body.seats)
    session.add(booking)
    await session.flush()
    return BookingOut.model_validate(booking)

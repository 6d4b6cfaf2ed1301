"""Add an endpoint which books seats in a slot."""

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import update

from app.dependencies import Session
from app.models.bookings import Booking, Slot

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])


class BookingIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slot_id: UUID
    seats: int  # expect: unbounded-number


class BookingOut(BaseModel):
    id: UUID
    seats: int


@router.post("", status_code=201, responses={409: {"description": "Not enough seats."}})
async def book(body: BookingIn, db: Session) -> BookingOut:
    """Book seats; one statement decides who gets the last ones."""
    taken = await db.scalar(
        update(Slot)
        .where(Slot.id == body.slot_id, Slot.seats_left >= body.seats)
        .values(seats_left=Slot.seats_left - body.seats)
        .returning(Slot.id)
    )
    if taken is None:
        raise HTTPException(status_code=409, detail="Not enough seats.")
    booking = Booking(slot_id=body.slot_id, seats=body.seats)
    db.add(booking)
    await db.flush()
    return BookingOut(id=booking.id, seats=booking.seats)

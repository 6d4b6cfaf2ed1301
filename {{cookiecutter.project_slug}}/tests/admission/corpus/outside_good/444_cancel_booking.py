"""Add an endpoint which cancels my booking, frees its seats, and has what was paid given back."""

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import update

from app.dependencies import Outbox, Session
from app.models.bookings import Booking, Slot

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])


class BookingOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slot_id: UUID
    seats: int
    status: str


@router.post("/{booking_id}/cancel", responses={404: {"description": "No such booking of yours."}})
async def cancel(booking_id: UUID, session: Session, outbox: Outbox) -> BookingOut:
    """Cancel a booking; the second time changes nothing. The refund is a job's, tried until it is done."""
    booking = await session.get(Booking, booking_id, with_for_update=True)
    if booking is None:
        raise HTTPException(404, "No such booking.")
    if booking.status == "booked":
        booking.status = "cancelled"
        await session.execute(
            update(Slot).where(Slot.id == booking.slot_id).values(seats_left=Slot.seats_left + booking.seats)
        )
        if booking.charge_id is not None:
            await outbox.add("charge.undone", {"charge_id": booking.charge_id}, key=str(booking.id))
    return BookingOut.model_validate(booking)

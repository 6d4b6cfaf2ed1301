"""Add an endpoint which cancels my booking at once and refunds it in the background."""

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, HTTPException
from pydantic import BaseModel

from app.dependencies import Payments, Session
from app.models.bookings import Booking

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])


class BookingOut(BaseModel):
    id: UUID
    status: str


@router.post("/{booking_id}/cancel", responses={404: {"description": "No such booking of yours."}})
async def cancel(booking_id: UUID, db: Session, payments: Payments, background: BackgroundTasks) -> BookingOut:
    """Cancel a booking."""
    booking = await db.get(Booking, booking_id, with_for_update=True)
    if booking is None:
        raise HTTPException(404, "No such booking.")
    if booking.status == "booked":
        booking.status = "cancelled"
        if booking.charge_id is not None:
            background.add_task(payments.refund, booking.charge_id)  # expect: lost-work
    return BookingOut(id=booking.id, status=booking.status)

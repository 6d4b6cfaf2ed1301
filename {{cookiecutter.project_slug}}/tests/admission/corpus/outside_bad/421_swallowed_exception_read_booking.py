"""Add an endpoint which shows a booking of mine and whether it has been paid."""

from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Look, Payments, UpstreamError
from app.models.bookings import Booking

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])

T = TypeVar("T")


class BookingOut(BaseModel):
    """A booking, and whether its charge stands."""

    id: UUID
    seats: int
    status: str
    paid: bool


async def quietly(call: Awaitable[T]) -> T | None:
    """Wait for the other service; its outages must not break this page."""
    try:
        return await call
    except UpstreamError:  # expect: swallowed-exception
        return None


@router.get("/{booking_id}", responses={404: {"description": "No such booking of yours."}})
async def read_booking(booking_id: UUID, look: Look, payments: Payments) -> BookingOut:
    """Show a booking."""
    async with look() as glance:
        booking = await glance.get(Booking, booking_id)
    if booking is None:
        raise HTTPException(status_code=404, detail="No such booking.")
    charge = None
    if booking.charge_id is not None:
        charge = await quietly(payments.read(booking.charge_id))
    paid = charge is not None and charge.status == "succeeded"
    return BookingOut(id=booking.id, seats=booking.seats, status=booking.status, paid=paid)

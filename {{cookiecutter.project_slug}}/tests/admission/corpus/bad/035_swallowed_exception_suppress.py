"""Cancels a booking and hides every failure."""

from __future__ import annotations

import contextlib
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/bookings", tags=["bookings"])


class Cancelled(BaseModel):
    cancelled: bool


@router.post("/{booking_id}/cancel")
async def cancel(booking_id: UUID, shipping: Shipping) -> Cancelled:
    """Cancel a booking."""
    with contextlib.suppress(Exception):  # expect: swallowed-exception
        await shipping.delete(f"/bookings/{booking_id}")
    return Cancelled(cancelled=True)

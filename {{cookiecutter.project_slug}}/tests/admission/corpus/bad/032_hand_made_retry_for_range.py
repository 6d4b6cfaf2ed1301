"""Books a courier with three tries of its own."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/couriers", tags=["shipping"])

log = structlog.get_logger()


class Booked(BaseModel):
    reference: str


@router.post("/{order_id}")
async def book(order_id: UUID, shipping: Shipping) -> Booked:
    """Book a courier."""
    for attempt in range(3):  # expect: hand-made-retry
        try:
            answer = await shipping.post("/bookings", json={"order": str(order_id)})
        except TimeoutError:
            log.warning("courier_timeout", attempt=attempt)
            await asyncio.sleep(2**attempt)
            continue
        return Booked(reference=answer.json()["reference"])
    raise HTTPException(503, "No courier answers.")

"""A confirmation that may be lost."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel

from app.dependencies import Shipping

router = APIRouter(prefix="/v1/confirmations", tags=["orders"])


class Confirmed(BaseModel):
    confirmed: bool


async def _send_confirmation(shipping: Shipping, order_id: UUID) -> None:
    await shipping.post("/confirmations", json={"order": str(order_id)})


@router.post("/{order_id}", status_code=202)
async def confirm(order_id: UUID, background: BackgroundTasks, shipping: Shipping) -> Confirmed:
    """Confirm an order."""
    background.add_task(_send_confirmation, shipping, order_id)  # expect: lost-work
    return Confirmed(confirmed=True)

"""Add an endpoint which tells when a time slot of the museum begins on the visitor's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel

from app.dependencies import Session
from app.models.museums import Slot

router = APIRouter(prefix="/v1/slots", tags=["museum"])

Zone = Literal["Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo"]
ZONES: dict[str, ZoneInfo] = {
    name: ZoneInfo(name) for name in ("Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo")
}


class SlotTime(BaseModel):
    """A slot in a time zone."""

    slot_id: int
    zone: str
    begins_at: datetime


@router.get("/{slot_id}/time", responses={404: {"description": "No such slot."}})
async def slot_time(
    slot_id: Annotated[int, Path(ge=1, le=2_147_483_647)], session: Session, zone: Zone = "Europe/Berlin"
) -> SlotTime:
    """Say when a slot begins."""
    slot = await session.get(Slot, slot_id)
    if slot is None:
        raise HTTPException(404, "No such slot.")
    return SlotTime(slot_id=slot.id, zone=zone, begins_at=slot.begins_at.astimezone(ZONES[zone]))

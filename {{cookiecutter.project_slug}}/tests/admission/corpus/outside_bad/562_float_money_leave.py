"""Add an endpoint where a driver leaves the car park and sees what the stay costs."""

import math
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.parking import Lot, Stay

router = APIRouter(prefix="/v1/stays", tags=["parking"])


class StayOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plate: str
    entered_at: datetime
    left_at: datetime | None
    amount_cents: int | None


def _amount(cents_per_hour: int, entered_at: datetime, left_at: datetime) -> int:
    """Every started hour, and nineteen percent tax."""
    hours = math.ceil((left_at - entered_at).total_seconds() / 3600)
    return round(cents_per_hour * hours * 1.19)  # expect: float-money


@router.post("/{stay_id}/leave", responses={404: {"description": "No such stay of yours."}})
async def leave(stay_id: UUID, session: Session) -> StayOut:
    stay = await session.get(Stay, stay_id, with_for_update=True)
    if stay is None or stay.left_at is not None:
        raise HTTPException(404, "No such stay.")
    lot = await session.get(Lot, stay.lot_id)
    if lot is None:
        raise HTTPException(404, "No such car park.")
    stay.left_at = datetime.now(UTC)
    stay.amount_cents = _amount(lot.cents_per_hour, stay.entered_at, stay.left_at)
    return StayOut.model_validate(stay)

"""Add an endpoint where a driver leaves the car park and sees what the stay costs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import update

from app.dependencies import Session
from app.models.parking import Lot, Stay

router = APIRouter(prefix="/v1/stays", tags=["parking"])

HOUR = timedelta(hours=1)


class StayOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plate: str
    entered_at: datetime
    left_at: datetime | None
    amount_cents: int | None


def started_hours(entered_at: datetime, left_at: datetime) -> int:
    """Round up, in whole numbers: minus, floor, minus."""
    return max(1, -((entered_at - left_at) // HOUR))


@router.post("/{stay_id}/leave", responses={404: {"description": "No such stay of yours, or it has ended."}})
async def leave(stay_id: UUID, session: Session) -> StayOut:
    """End a stay. It is locked, so that it ends once; the place is given back by the database's own arithmetic."""
    stay = await session.get(Stay, stay_id, with_for_update=True)
    if stay is None or stay.left_at is not None:
        raise HTTPException(404, "No such stay.")
    cents_per_hour = await session.scalar(
        update(Lot).where(Lot.id == stay.lot_id).values(free=Lot.free + 1).returning(Lot.cents_per_hour)
    )
    if cents_per_hour is None:
        raise HTTPException(404, "No such car park.")
    stay.left_at = datetime.now(UTC)
    stay.amount_cents = cents_per_hour * started_hours(stay.entered_at, stay.left_at)
    return StayOut.model_validate(stay)

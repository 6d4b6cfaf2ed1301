"""Add an endpoint which shows what a meter showed between two moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.energy import Meter, MeterReading

router = APIRouter(prefix="/v1/meters", tags=["energy"])

LONGEST = timedelta(days=92)


class ReadingOut(BaseModel):
    """What a meter showed."""

    model_config = ConfigDict(from_attributes=True)

    watt_hours: int
    read_at: datetime


@router.get(
    "/{meter_id}/readings",
    responses={404: {"description": "No such meter of yours."}, 422: {"description": "Not a range of three months."}},
)
async def readings(
    meter_id: UUID,
    session: Session,
    begin: AwareDatetime,
    end: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[ReadingOut]:
    """List readings, oldest first. To read on, begin where the page ends."""
    end = end or datetime.now(UTC)
    if not timedelta(0) < end - begin <= LONGEST:
        raise HTTPException(422, "Ask for three months at most.")
    if await session.get(Meter, meter_id) is None:
        raise HTTPException(404, "No such meter.")
    page = (
        select(MeterReading)
        .where(MeterReading.meter_id == meter_id, MeterReading.read_at >= begin, MeterReading.read_at < end)
        .order_by(MeterReading.read_at)
        .limit(limit)
    )
    return [ReadingOut.model_validate(reading) for reading in await session.scalars(page)]

"""Add an endpoint which exports the readings of a device since a moment as CSV."""

import csv
import io
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class CsvOut(BaseModel):
    """The file, and how many readings are in it."""

    rows: int
    content: str


async def readings_since(session: AsyncSession, device_id: UUID, since: AwareDatetime) -> list[Reading]:
    query = select(Reading).where(Reading.device_id == device_id, Reading.taken_at >= since)
    return list(await session.scalars(query.order_by(Reading.taken_at)))  # expect: unbounded-result


def as_csv(readings: Iterable[Reading]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["taken_at", "metric", "value"])
    writer.writerows([reading.taken_at.isoformat(), reading.metric, reading.value] for reading in readings)
    return buffer.getvalue()


@router.get("/{device_id}/export", responses={404: {"description": "No such device of yours."}})
async def export(device_id: UUID, session: Session, since: Annotated[AwareDatetime, Query()]) -> CsvOut:
    """Export readings."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    readings = await readings_since(session, device_id, since)
    return CsvOut(rows=len(readings), content=as_csv(readings))

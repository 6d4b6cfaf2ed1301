"""Add an endpoint which returns statistics over my device's last readings; computing them is slow, so use a pool."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])
pool = ThreadPoolExecutor(max_workers=2)


class Summary(BaseModel):
    """Mean and spread of the newest readings."""

    count: int
    mean: float
    spread: float


def summarise(values: list[float]) -> Summary:
    return Summary(count=len(values), mean=statistics.fmean(values), spread=statistics.pstdev(values))


@router.get("/{device_id}/summary", responses={404: {"description": "No such device of yours, or no readings."}})
async def summary(
    device_id: UUID, session: Session, last: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Summary:
    """Summarise the newest readings of a device."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    newest = select(Reading.value).where(Reading.device_id == device_id).order_by(Reading.taken_at.desc()).limit(last)
    values = list((await session.scalars(newest)).all())
    if not values:
        raise HTTPException(404, "No readings yet.")
    return pool.submit(summarise, values).result()  # expect: blocking-in-async

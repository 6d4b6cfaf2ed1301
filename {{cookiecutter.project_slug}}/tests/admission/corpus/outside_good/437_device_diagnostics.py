"""Add an endpoint which shows diagnostics of one of my devices: how many readings, and between which values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import func, select

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])

METRICS = 10


class MetricDiagnostics(BaseModel):
    metric: str
    readings: int
    lowest: float
    highest: float


class Diagnostics(BaseModel):
    """How a device is doing."""

    device_id: UUID
    since: AwareDatetime
    metrics: list[MetricDiagnostics]


@router.get("/{device_id}/diagnostics", responses={404: {"description": "No such device of yours."}})
async def diagnostics(device_id: UUID, session: Session, days: Annotated[int, Query(ge=1, le=31)] = 7) -> Diagnostics:
    """Show diagnostics; the database sums up, and nothing of this service is shown."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    since = datetime.now(UTC) - timedelta(days=days)
    figures = (
        select(
            Reading.metric,
            func.count().label("readings"),
            func.min(Reading.value).label("lowest"),
            func.max(Reading.value).label("highest"),
        )
        .where(Reading.device_id == device_id, Reading.taken_at >= since)
        .group_by(Reading.metric)
        .order_by(Reading.metric)
        .limit(METRICS)
    )
    rows = (await session.execute(figures)).all()
    return Diagnostics(
        device_id=device_id,
        since=since,
        metrics=[
            MetricDiagnostics(metric=r.metric, readings=r.readings, lowest=r.lowest, highest=r.highest) for r in rows
        ],
    )

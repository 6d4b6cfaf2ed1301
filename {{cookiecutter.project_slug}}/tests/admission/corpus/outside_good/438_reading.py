"""Add an endpoint which takes a reading from a device; devices send seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class ReadingIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metric: Literal["temperature", "humidity"]
    value: Annotated[float, Field(ge=-100, le=200, allow_inf_nan=False)]
    at: Annotated[int, Field(ge=1_500_000_000, le=4_000_000_000)]


class ReadingOut(BaseModel):
    id: UUID
    taken_at: AwareDatetime


@router.post("/{device_id}/readings", status_code=201, responses={404: {"description": "No such device of yours."}})
async def take_reading(device_id: UUID, body: ReadingIn, session: Session) -> ReadingOut:
    """Keep a reading, and when the device was last heard of."""
    device = await session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise HTTPException(404, "No such device.")
    taken_at = datetime.fromtimestamp(body.at, UTC)
    device.last_seen_at = taken_at if device.last_seen_at is None else max(device.last_seen_at, taken_at)
    reading = Reading(device_id=device_id, metric=body.metric, value=body.value, taken_at=taken_at)
    session.add(reading)
    await session.flush()
    return ReadingOut(id=reading.id, taken_at=taken_at)

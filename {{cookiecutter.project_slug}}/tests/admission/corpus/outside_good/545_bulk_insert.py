"""Add an endpoint which takes a batch of readings of a sensor."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.sensors import Reading, Sensor

router = APIRouter(prefix="/v1/sensors", tags=["sensors"])


class ReadingIn(BaseModel):
    """One value."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[float, Field(ge=-1e6, le=1e6)]
    taken_at: AwareDatetime


class ReadingsIn(BaseModel):
    """A batch."""

    model_config = ConfigDict(extra="forbid")

    readings: Annotated[list[ReadingIn], Field(min_length=1, max_length=200)]


class ReadingsOut(BaseModel):
    """How many were kept."""

    kept: int


@router.post("/{sensor_id}/readings", status_code=201, responses={404: {"description": "No such sensor of yours."}})
async def take_readings(sensor_id: UUID, batch: ReadingsIn, session: Session) -> ReadingsOut:
    """Take a batch; it is written with one statement."""
    sensor = await session.get(Sensor, sensor_id)
    if sensor is None:
        raise HTTPException(404, "No such sensor.")
    session.add_all([Reading(sensor_id=sensor.id, value=one.value, taken_at=one.taken_at) for one in batch.readings])
    await session.flush()
    return ReadingsOut(kept=len(batch.readings))

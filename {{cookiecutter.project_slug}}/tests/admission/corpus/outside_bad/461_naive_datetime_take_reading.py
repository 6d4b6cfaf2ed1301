"""Add an endpoint which takes a reading from a device; devices send seconds since 1970."""

from datetime import datetime
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

    def moment(self) -> datetime:
        """Return when it was measured."""
        return datetime.utcfromtimestamp(self.at)  # expect: naive-datetime


class ReadingOut(BaseModel):
    id: UUID
    taken_at: AwareDatetime


@router.post("/{device_id}/readings", status_code=201, responses={404: {"description": "No such device of yours."}})
async def take_reading(device_id: UUID, body: ReadingIn, session: Session) -> ReadingOut:
    """Keep a reading."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    reading = Reading(device_id=device_id, metric=body.metric, value=body.value, taken_at=body.moment())
    session.add(reading)
    await session.flush()
    return ReadingOut(id=reading.id, taken_at=reading.taken_at)

"""Add an endpoint which takes an event of a vehicle: it was refuelled, serviced, or taken out of use."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.fleets import Vehicle

router = APIRouter(prefix="/v1/vehicles", tags=["fleet"])


class Event(BaseModel):
    """What every event says."""

    model_config = ConfigDict(extra="forbid")

    odometer_km: Annotated[int, Field(ge=0, le=5_000_000)]


class Refuelled(Event):
    """There is fuel again."""

    kind: Literal["refuelled"]
    litres: Annotated[int, Field(ge=1, le=2000)]


class Serviced(Event):
    """It was in the workshop."""

    kind: Literal["serviced"]


class Retired(Event):
    """It is out of use."""

    kind: Literal["retired"]


AnyEvent = Annotated[Refuelled | Serviced | Retired, Body(discriminator="kind")]
STATUS = {"refuelled": "ready", "serviced": "ready", "retired": "retired"}


class VehicleOut(BaseModel):
    """How a vehicle stands."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    plate: str
    odometer_km: int
    status: str


@router.post(
    "/{vehicle_id}/events", responses={404: {"description": "None of yours."}, 409: {"description": "Out of use."}}
)
async def take_event(vehicle_id: UUID, event: AnyEvent, session: Session) -> VehicleOut:
    """Take an event."""
    vehicle = await session.get(Vehicle, vehicle_id, with_for_update=True)
    if vehicle is None:
        raise HTTPException(404, "No such vehicle.")
    if vehicle.status == "retired" or event.odometer_km < vehicle.odometer_km:
        raise HTTPException(409, "Out of use, or older than what is known.")
    vehicle.odometer_km = event.odometer_km
    vehicle.status = STATUS[event.kind]
    return VehicleOut.model_validate(vehicle)

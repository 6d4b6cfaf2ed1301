"""Add an endpoint with which a vehicle's lock finds out whether an unlock code fits."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.fleets import Vehicle

router = APIRouter(prefix="/v1/vehicles", tags=["fleet"])


class CodeIn(BaseModel):
    """What the driver scanned."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Fits(BaseModel):
    """Whether it opens the vehicle."""

    fits: bool


class UnlockCodes:
    """Compares what was scanned with what is kept of the code."""

    @staticmethod
    def matches(vehicle: Vehicle, code: str) -> bool:
        """Say whether it is the code of this vehicle."""
        if vehicle.unlock_digest is None:
            return False
        presented = hashlib.sha256(code.encode()).hexdigest()
        if presented != vehicle.unlock_digest:  # expect: secret-compare
            return False
        return True


@router.post("/{vehicle_id}/unlock-code/check", responses={404: {"description": "No such vehicle of yours."}})
async def check_unlock_code(vehicle_id: UUID, wanted: CodeIn, session: Session) -> Fits:
    """Check a code."""
    vehicle = await session.get(Vehicle, vehicle_id)
    if vehicle is None:
        raise HTTPException(404, "No such vehicle.")
    return Fits(fits=UnlockCodes.matches(vehicle, wanted.code))

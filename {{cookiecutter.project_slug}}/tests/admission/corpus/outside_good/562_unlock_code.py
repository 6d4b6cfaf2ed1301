"""Add endpoints with which a driver gets an unlock code for a vehicle and checks one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.fleets import Vehicle

router = APIRouter(prefix="/v1/vehicles", tags=["fleet"])


class UnlockCode(BaseModel):
    """A code, shown once."""

    vehicle_id: UUID
    code: str


class CodeIn(BaseModel):
    """What the driver typed or scanned."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Fits(BaseModel):
    """Whether it opens the vehicle."""

    fits: bool


class CodeBook:
    """Makes codes of 128 bits, and what is kept of them."""

    @staticmethod
    def new() -> str:
        """Make a code."""
        return secrets.token_hex(16)

    @staticmethod
    def digest(code: str) -> str:
        """Return what is kept."""
        return hashlib.sha256(code.encode()).hexdigest()


@router.post("/{vehicle_id}/unlock-code", responses={404: {"description": "No such vehicle of yours."}})
async def new_unlock_code(vehicle_id: UUID, session: Session) -> UnlockCode:
    """Replace the unlock code of a vehicle."""
    vehicle = await session.get(Vehicle, vehicle_id, with_for_update=True)
    if vehicle is None:
        raise HTTPException(404, "No such vehicle.")
    code = CodeBook.new()
    vehicle.unlock_digest = CodeBook.digest(code)
    return UnlockCode(vehicle_id=vehicle.id, code=code)


@router.post("/{vehicle_id}/unlock-code/check", responses={404: {"description": "No such vehicle of yours."}})
async def check_unlock_code(vehicle_id: UUID, wanted: CodeIn, session: Session) -> Fits:
    """Check a code. A vehicle without one compares with what no digest is."""
    vehicle = await session.get(Vehicle, vehicle_id)
    if vehicle is None:
        raise HTTPException(404, "No such vehicle.")
    return Fits(fits=hmac.compare_digest(CodeBook.digest(wanted.code), vehicle.unlock_digest or ""))

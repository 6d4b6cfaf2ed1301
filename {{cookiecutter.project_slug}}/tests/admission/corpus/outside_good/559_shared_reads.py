"""Add an endpoint which lists the latest firmware of each kind of sensor and whether a version is current."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.sensors import Firmware

router = APIRouter(prefix="/v1/firmware", tags=["sensors"])

Kind = Literal["thermo", "hygro", "baro"]


class FirmwareOut(BaseModel):
    """A firmware; the checksum is what devices compare their download with."""

    model_config = ConfigDict(from_attributes=True)

    version: str
    kind: str
    sha256: str
    released_at: datetime


class Standing(BaseModel):
    """Whether a version is the latest."""

    current: bool
    latest: str


@router.get("/{kind}")
async def list_firmware(
    kind: Kind, session: Session, limit: Annotated[int, Query(ge=1, le=20)] = 5
) -> list[FirmwareOut]:
    """List the latest versions."""
    newest = select(Firmware).where(Firmware.kind == kind).order_by(Firmware.released_at.desc(), Firmware.version)
    return [FirmwareOut.model_validate(firmware) for firmware in await session.scalars(newest.limit(limit))]


@router.get("/{kind}/current", responses={404: {"description": "There is none of this kind."}})
async def is_current(
    kind: Kind, session: Session, version: Annotated[str, Query(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){2}$")]
) -> Standing:
    """Compare a version with the latest."""
    newest = select(Firmware.version).where(Firmware.kind == kind).order_by(Firmware.released_at.desc()).limit(1)
    latest = await session.scalar(newest)
    if latest is None:
        raise HTTPException(404, "There is no firmware of this kind.")
    return Standing(current=version == latest, latest=latest)

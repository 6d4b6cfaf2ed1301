"""Add an endpoint which lists all my devices."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class DeviceOut(BaseModel):
    """A device as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: str
    last_seen_at: AwareDatetime | None


class Devices(BaseModel):
    items: list[DeviceOut]


@router.get("")
async def list_devices(db: Session) -> Devices:
    """List devices by name."""
    devices = (await db.scalars(select(Device).order_by(Device.name))).all()  # expect: unbounded-result
    return Devices(items=[DeviceOut.model_validate(device) for device in devices])

"""Devices have a pairing secret and a note of support in their row; neither is in the answer."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class Device(Owned, Base):
    __tablename__ = "devices"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    pairing_secret_hash: Mapped[str] = mapped_column(String(64))
    support_note: Mapped[str | None] = mapped_column(String(500))
    seen_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class DeviceName(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00]*$")


class DeviceOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    seen_at: datetime


@router.post("", status_code=201, response_model=DeviceOut)
async def add_device(wanted: DeviceName, session: Session) -> DeviceOut:
    """Add a device. It is paired later, at the device itself."""
    device = Device(
        name=wanted.name,
        pairing_secret_hash=hashlib.sha256(secrets.token_bytes(32)).hexdigest(),
    )
    session.add(device)
    await session.flush()
    return DeviceOut.model_validate(device)


@router.patch("/{device_id}", responses={404: {"description": "No such device of yours."}})
async def rename_device(device_id: UUID, wanted: DeviceName, session: Session) -> DeviceOut:
    """Give a device another name."""
    device = await session.get(Device, device_id)
    if device is None:
        raise HTTPException(404, "No such device.")
    device.name = wanted.name
    return DeviceOut.model_validate(device)

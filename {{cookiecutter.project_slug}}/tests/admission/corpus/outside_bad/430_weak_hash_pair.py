"""Add an endpoint which pairs a device: the device shows a code, the owner types it, we remember its fingerprint."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])

DIGEST: Final = "sha1"  # or: weak-hash


class PairingIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(min_length=16, max_length=64)]


class Paired(BaseModel):
    """The device that is paired now."""

    id: UUID
    name: str


class Fingerprint:
    """How codes are kept."""

    def __init__(self, secret: SecretStr, device_id: UUID) -> None:
        digest = hashlib.new(DIGEST)  # expect: weak-hash
        digest.update(device_id.bytes)
        digest.update(secret.get_secret_value().encode())
        self.text = digest.hexdigest()


@router.put("/{device_id}/pairing", responses={404: {"description": "No such device of yours."}})
async def pair(device_id: UUID, body: PairingIn, session: Session) -> Paired:
    """Pair a device."""
    device = await session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise HTTPException(status_code=404, detail="No such device.")
    device.pairing_hash = Fingerprint(body.code, device_id).text
    return Paired(id=device.id, name=device.name)

"""Add an endpoint with which a device proves that it is the paired one before it reports that it is alive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class AliveIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    proof: Annotated[SecretStr, Field(min_length=16, max_length=64)]


class AliveOut(BaseModel):
    id: UUID
    last_seen_at: datetime


@dataclass(frozen=True)
class Pairing:
    """What a device and we agreed on."""

    digest: str | None

    def fits(self, proof: str) -> bool:
        return self.digest is not None and hashlib.sha256(proof.encode()).hexdigest() == self.digest  # expect: secret-compare


@router.post(
    "/{device_id}/alive",
    responses={403: {"description": "Not the paired device."}, 404: {"description": "No such device of yours."}},
)
async def alive(device_id: UUID, body: AliveIn, session: Session) -> AliveOut:
    """Note that the device is alive."""
    device = await session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise HTTPException(404, "No such device.")
    if not Pairing(device.pairing_hash).fits(body.proof.get_secret_value()):
        raise HTTPException(403, "This is not the paired device.")
    now = datetime.now(UTC)
    device.last_seen_at = now
    return AliveOut(id=device.id, last_seen_at=now)

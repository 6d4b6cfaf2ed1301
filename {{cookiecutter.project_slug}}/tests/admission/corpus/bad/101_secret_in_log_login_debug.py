"""Logs what somebody signs in with."""

from __future__ import annotations

from uuid import UUID

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/pairings", tags=["devices"])

log = structlog.get_logger()


class Pairing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    device_id: UUID
    password: str = Field(min_length=8, max_length=100)


class Paired(BaseModel):
    paired: bool


@router.post("", status_code=201)
async def pair(wanted: Pairing) -> Paired:
    """Pair a device."""
    log.info("pairing", device=str(wanted.device_id), password=wanted.password)  # expect: secret-in-log
    return Paired(paired=True)

"""Add an endpoint which renames a device, and count renames in the log from a thread of its own."""

from __future__ import annotations

import threading
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])
log = structlog.get_logger(__name__)


class Reporter:
    """Reports what happened to a device, off the request's path."""

    def __init__(self, event: str) -> None:
        self.event = event

    def _report(self, device_id: str) -> None:
        log.info(self.event, device_id=device_id)

    def report(self, device_id: UUID) -> None:
        """Report without waiting."""
        threading.Thread(target=self._report, args=(str(device_id),), daemon=True).start()  # expect: orphan-task


renamed = Reporter("device_renamed")


class NameIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]


class NameOut(BaseModel):
    id: UUID
    name: str


@router.put("/{device_id}/name", responses={404: {"description": "No such device of yours."}})
async def rename(device_id: UUID, body: NameIn, session: Session) -> NameOut:
    """Rename a device."""
    device = await session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise HTTPException(status_code=404, detail="No such device.")
    device.name = body.name
    renamed.report(device.id)
    return NameOut(id=device.id, name=device.name)

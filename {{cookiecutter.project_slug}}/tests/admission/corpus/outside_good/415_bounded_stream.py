"""Add an endpoint which takes a raw log of a device and counts the errors in it, without keeping the log."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])

MAX_LOG = 50_000


class LogOut(BaseModel):
    """What is in the log."""

    size: int
    errors: int


async def collect(request: Request) -> bytes:
    """Put the body together, as far as it is allowed to go."""
    content = bytearray()
    async for part in request.stream():
        if len(content) + len(part) > MAX_LOG:
            raise HTTPException(status_code=413, detail="The log is too long.")
        content += part
    return bytes(content)


@router.post(
    "/{device_id}/logs",
    responses={404: {"description": "No such device of yours."}, 413: {"description": "Too long."}},
)
async def take_log(device_id: UUID, request: Request, db: Session) -> LogOut:
    """Count the errors in a log."""
    content = await collect(request)
    if await db.get(Device, device_id) is None:
        raise HTTPException(status_code=404, detail="No such device.")
    return LogOut(size=len(content), errors=content.count(b" ERROR "))

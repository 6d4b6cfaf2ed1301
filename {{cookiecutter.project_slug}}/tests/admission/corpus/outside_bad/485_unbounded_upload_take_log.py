"""Add an endpoint which takes raw firmware logs of a device and says how many errors are in them."""

from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from app.dependencies import Session
from app.models.devices import Device

router = APIRouter(prefix="/v1/devices", tags=["devices"])


class LogOut(BaseModel):
    """What is in the log."""

    size: int
    errors: int


async def collect(request: Request) -> bytes:
    """Put the body together."""
    parts: list[bytes] = []
    async for part in request.stream():  # or: unbounded-upload
        parts.append(part)  # expect: unbounded-upload
    return b"".join(parts)  # or: unbounded-upload


@router.post("/{device_id}/logs", responses={404: {"description": "No such device of yours."}})
async def take_log(device_id: UUID, request: Request, session: Session) -> LogOut:
    """Count the errors in a log."""
    content = await collect(request)
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    return LogOut(size=len(content), errors=content.count(b" ERROR "))

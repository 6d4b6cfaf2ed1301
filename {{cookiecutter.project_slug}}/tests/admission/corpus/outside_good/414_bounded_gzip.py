"""Add an endpoint which takes readings as compressed JSON, because devices pay for each byte."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])

MAX_UNPACKED = 100_000


class PackedIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: Annotated[str, Field(min_length=1, max_length=30_000)]


class Measured(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metric: Literal["temperature", "humidity"]
    value: Annotated[float, Field(ge=-100, le=200, allow_inf_nan=False)]
    taken_at: AwareDatetime


class PackedOut(BaseModel):
    accepted: int


Batch = TypeAdapter(Annotated[list[Measured], Field(min_length=1, max_length=500)])


def unpack(data: str) -> bytes:
    """Return at most MAX_UNPACKED bytes, however small what was sent.

    Raises:
        ValueError: it is no zlib stream, or there is more in it.
    """
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(base64.b64decode(data, validate=True), MAX_UNPACKED)
    except (binascii.Error, zlib.error):
        raise ValueError("not compressed") from None
    if not stream.eof:
        raise ValueError("cut off, or too much")
    return unpacked


@router.post(
    "/{device_id}/packed",
    status_code=status.HTTP_201_CREATED,
    responses={404: {"description": "No such device of yours."}, 422: {"description": "No readings."}},
)
async def take_packed(device_id: UUID, body: PackedIn, session: Session) -> PackedOut:
    """Unpack readings and keep them."""
    try:
        batch = Batch.validate_json(unpack(body.data))
    except (ValueError, ValidationError):
        raise HTTPException(422, "These are no readings.") from None
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    session.add_all(
        [Reading(device_id=device_id, metric=m.metric, value=m.value, taken_at=m.taken_at) for m in batch]
    )
    return PackedOut(accepted=len(batch))

"""Add an endpoint which takes readings as gzipped, base64-encoded JSON, because devices pay for each byte."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.dependencies import Session
from app.models.devices import Device, Reading

router = APIRouter(prefix="/v1/devices", tags=["devices"])


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


@router.post("/{device_id}/packed", status_code=201, responses={404: {"description": "No such device of yours."}})
async def take_packed(device_id: UUID, body: PackedIn, session: Session) -> PackedOut:
    """Unpack readings and keep them."""
    if await session.get(Device, device_id) is None:
        raise HTTPException(404, "No such device.")
    try:
        batch = Batch.validate_json(gzip.decompress(base64.b64decode(body.data, validate=True)))  # expect: unbounded-decompression
    except (binascii.Error, zlib.error, gzip.BadGzipFile, EOFError, ValidationError):
        raise HTTPException(422, "These are no readings.") from None
    session.add_all(
        [Reading(device_id=device_id, metric=m.metric, value=m.value, taken_at=m.taken_at) for m in batch]
    )
    return PackedOut(accepted=len(batch))

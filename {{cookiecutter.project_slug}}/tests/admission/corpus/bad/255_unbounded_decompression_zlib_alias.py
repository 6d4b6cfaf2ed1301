"""zlib by another name, in a helper."""

from __future__ import annotations

from zlib import decompress as inflate

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/telemetry", tags=["devices"])


class Reading(BaseModel):
    model_config = ConfigDict(extra="forbid")

    payload: str = Field(max_length=8000)


class Taken(BaseModel):
    bytes_taken: int


def _open(payload: str) -> bytes:
    return inflate(bytes.fromhex(payload))  # expect: unbounded-decompression


@router.post("", status_code=201)
async def take_reading(reading: Reading) -> Taken:
    """Take a reading."""
    return Taken(bytes_taken=len(_open(reading.payload)))

"""Add an endpoint where data loggers deliver their compressed measurements."""

import base64
import binascii
import zlib
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/logger-deliveries", tags=["sensors"])

MAX_TEXT = 262_144


class DeliveryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    payload: Annotated[str, Field(min_length=24, max_length=40_000, pattern=r"^[A-Za-z0-9+/]+=?=?$")]


class DeliveryOut(BaseModel):
    lines: int
    longest: int


def _unpack(payload: str) -> str:
    """Decompress at most a quarter of a megabyte, however much is in there."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(base64.b64decode(payload, validate=True), MAX_TEXT)
    except (binascii.Error, zlib.error):
        raise HTTPException(422, "This delivery cannot be read.") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise HTTPException(413, "This delivery is too large, or not complete.")
    return text.decode("ascii", "replace")


@router.post("")
async def deliver(delivery: DeliveryIn) -> DeliveryOut:
    lines = _unpack(delivery.payload).splitlines()
    return DeliveryOut(lines=len(lines), longest=max((len(line) for line in lines), default=0))

"""Add an endpoint where data loggers deliver their compressed measurements."""

import base64
import binascii
import gzip
import zlib
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/logger-deliveries", tags=["sensors"])


class DeliveryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    payload: Annotated[str, Field(min_length=24, max_length=40_000, pattern=r"^[A-Za-z0-9+/]+=?=?$")]


class DeliveryOut(BaseModel):
    lines: int
    longest: int


def _unpack(payload: str) -> str:
    try:
        packed = base64.b64decode(payload, validate=True)
        return gzip.decompress(packed).decode("ascii")  # expect: unbounded-decompression
    except (binascii.Error, zlib.error, gzip.BadGzipFile, EOFError, UnicodeDecodeError):
        raise HTTPException(422, "This delivery cannot be read.") from None


@router.post("")
async def deliver(delivery: DeliveryIn) -> DeliveryOut:
    lines = _unpack(delivery.payload).splitlines()
    return DeliveryOut(lines=len(lines), longest=max((len(line) for line in lines), default=0))

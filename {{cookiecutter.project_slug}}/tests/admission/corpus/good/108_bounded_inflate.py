"""Unpacks at most a megabyte, piece by piece."""

from __future__ import annotations

import zlib

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/compressed", tags=["devices"])

MAX_BYTES = 1_000_000


class Packed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: str = Field(max_length=20_000, pattern=r"^[0-9a-f]*$")


class Size(BaseModel):
    size: int


def inflate(packed: bytes) -> bytes:
    """Return what was packed, or refuse what is too large."""
    opener = zlib.decompressobj()
    opened = opener.decompress(packed, MAX_BYTES)
    if opener.unconsumed_tail:
        raise HTTPException(413, "At most one megabyte unpacked.")
    return opened


@router.post("")
async def size_of(wanted: Packed) -> Size:
    """Say how large it is unpacked."""
    return Size(size=len(inflate(bytes.fromhex(wanted.data))))

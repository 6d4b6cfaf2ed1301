"""Unpacks what the client packed."""

from __future__ import annotations

import base64
import gzip

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/packed", tags=["imports"])


class Unpacked(BaseModel):
    size: int


class PackedIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: str = Field(max_length=20_000)


@router.post("")
async def unpack(wanted: PackedIn) -> Unpacked:
    """Unpack."""
    return Unpacked(size=len(gzip.decompress(base64.b64decode(wanted.data))))  # expect: unbounded-decompression

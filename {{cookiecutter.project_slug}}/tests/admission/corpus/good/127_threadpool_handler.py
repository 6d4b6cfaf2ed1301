"""A handler that is no coroutine runs in a thread, and may block a little."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/checksums", tags=["tools"])


class Checked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=10_000)


class Checksum(BaseModel):
    sha256: str


@router.post("")
def checksum(wanted: Checked) -> Checksum:
    """Return the checksum of a text."""
    return Checksum(sha256=hashlib.sha256(wanted.text.encode()).hexdigest())

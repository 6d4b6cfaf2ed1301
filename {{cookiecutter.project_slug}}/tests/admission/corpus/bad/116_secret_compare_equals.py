"""Compares a signature with ==."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/callbacks", tags=["payments"])


class Callback(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: Literal["paid", "refused"]
    signature: str = Field(max_length=64)


class Taken(BaseModel):
    taken: bool


def _key() -> bytes:
    return hashlib.sha256(b"callbacks").digest()


@router.post("")
async def callback(wanted: Callback) -> Taken:
    """Take a callback."""
    expected = hmac.new(_key(), wanted.event.encode(), hashlib.sha256).hexdigest()
    if wanted.signature != expected:  # expect: secret-compare
        raise HTTPException(403, "Wrong signature.")
    return Taken(taken=True)

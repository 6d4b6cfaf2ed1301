"""Makes reset codes by SHA-1 through hashlib.new."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/resets", tags=["users"])


class Reset(BaseModel):
    code: str


def _digest(text_: str, algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, text_.encode()).hexdigest()  # expect: weak-hash


@router.post("", status_code=201)
async def reset(caller: Caller) -> Reset:
    """Make a code."""
    return Reset(code=_digest(caller.subject))

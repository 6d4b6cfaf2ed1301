"""Returns the terms, read from a file on each request."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/terms", tags=["legal"])


class Terms(BaseModel):
    text: str


@router.get("")
async def read_terms() -> Terms:
    """Return the terms."""
    with open("/srv/legal/terms.txt", encoding="utf-8") as source:  # expect: blocking-in-async
        return Terms(text=source.read(100_000))

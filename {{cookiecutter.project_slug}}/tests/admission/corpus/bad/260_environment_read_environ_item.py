"""A limit from os.environ at import."""

from __future__ import annotations

from os import environ as settings

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/limits", tags=["limits"])

LIMIT = int(settings["UPLOAD_LIMIT"])  # expect: environment-read


class Limit(BaseModel):
    limit: int


@router.get("")
async def limit() -> Limit:
    """Return the limit."""
    return Limit(limit=LIMIT)

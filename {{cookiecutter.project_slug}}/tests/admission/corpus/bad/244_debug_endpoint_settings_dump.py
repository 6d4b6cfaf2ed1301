"""Returns the settings for debugging."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/debug", tags=["debug"])


class Debug(BaseModel):
    python: str
    tasks: int


@router.get("/state")  # expect: debug-endpoint
async def debug_state() -> Debug:
    """Return the inside of the service."""
    import sys

    return Debug(python=sys.version, tasks=len(asyncio.all_tasks()))

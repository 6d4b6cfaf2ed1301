"""Starts a task that nobody waits for."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/rebuilds", tags=["search"])


class Started(BaseModel):
    started: bool


async def _rebuild() -> None:
    await asyncio.sleep(1)


@router.post("", status_code=202)
async def rebuild() -> Started:
    """Start a rebuild."""
    asyncio.create_task(_rebuild())  # expect: orphan-task
    return Started(started=True)

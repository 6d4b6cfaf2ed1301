"""A task of the running loop, kept nowhere."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/refreshes", tags=["cache"])


class Refresh(BaseModel):
    started: bool


async def _refresh(name: str) -> None:
    await asyncio.sleep(len(name) / 1000)


@router.post("/{name}", status_code=202)
async def refresh(name: Annotated[str, Path(max_length=20)]) -> Refresh:
    """Refresh something."""
    loop = asyncio.get_running_loop()
    loop.create_task(_refresh(name))  # expect: orphan-task
    return Refresh(started=True)

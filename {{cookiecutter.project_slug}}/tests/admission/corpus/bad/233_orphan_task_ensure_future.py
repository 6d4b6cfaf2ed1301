"""A future by another name."""

from __future__ import annotations

import asyncio
from asyncio import ensure_future as later
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

router = APIRouter(prefix="/v1/warm-ups", tags=["cache"])


class Warm(BaseModel):
    warm: bool


async def _warm(name: str) -> None:
    await asyncio.sleep(len(name) / 100)


@router.post("/{name}", status_code=202)
async def warm_up(name: Annotated[str, Path(max_length=20)]) -> Warm:
    """Warm a cache up."""
    future = later(_warm(name))  # expect: orphan-task
    return Warm(warm=not future.done())

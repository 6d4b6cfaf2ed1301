"""Waits for news for at most two seconds."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/news", tags=["news"])

NEWS = asyncio.Event()


class News(BaseModel):
    fresh: bool


@router.get("/next")
async def next_news() -> News:
    """Say whether there was news within two seconds."""
    try:
        async with asyncio.timeout(2):
            await NEWS.wait()
    except TimeoutError:
        return News(fresh=False)
    return News(fresh=True)

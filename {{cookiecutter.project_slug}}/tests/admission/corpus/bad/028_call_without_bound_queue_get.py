"""Long polling for the next event."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/events", tags=["events"])

EVENTS: asyncio.Queue[str] = asyncio.Queue(maxsize=100)


class Event(BaseModel):
    text: str


@router.get("/next")
async def next_event() -> Event:
    """Wait for the next event."""
    return Event(text=await EVENTS.get())  # expect: call-without-bound

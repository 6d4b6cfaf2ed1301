"""Waits until a printer is ready."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/printer", tags=["printer"])

READY = asyncio.Event()


class Ready(BaseModel):
    ready: bool


async def _until_ready() -> None:
    await READY.wait()  # expect: call-without-bound


@router.get("/ready")
async def ready() -> Ready:
    """Answer when the printer is ready."""
    await _until_ready()
    return Ready(ready=True)

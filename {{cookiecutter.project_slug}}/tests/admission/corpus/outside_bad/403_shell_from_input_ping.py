"""Add an endpoint which tells support whether a customer's host can be reached, with the latency."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/reachability", tags=["support"])


class Reachability(BaseModel):
    """Whether the host answered."""

    host: str
    reachable: bool


@router.get("")
async def ping(caller: Caller, host: Annotated[str, Query(min_length=1, max_length=253)]) -> Reachability:
    """Ping a host once."""
    process = await asyncio.create_subprocess_shell(f"ping -c 1 -W 2 {host}")  # expect: shell-from-input
    async with asyncio.timeout(3):
        code = await process.wait()
    return Reachability(host=host, reachable=code == 0)

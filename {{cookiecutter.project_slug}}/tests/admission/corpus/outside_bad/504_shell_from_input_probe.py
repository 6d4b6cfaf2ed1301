"""Add an endpoint which tells how long an audio file of the podcast store is."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/audio", tags=["audio"])


class ProbeIn(BaseModel):
    """The file to look at."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120)


class ProbeOut(BaseModel):
    """What was found."""

    name: str
    seconds: int


@router.post("/probe")
async def probe(wanted: ProbeIn) -> ProbeOut:
    """Ask ffprobe for the length of a file."""
    async with asyncio.timeout(3):
        process = await asyncio.create_subprocess_shell(  # expect: shell-from-input
            f"ffprobe -v quiet -show_entries format=duration -of csv=p=0 /srv/audio/{wanted.name}",
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise HTTPException(422, "This file could not be read.")
    return ProbeOut(name=wanted.name, seconds=int(float(output.decode() or "0")))

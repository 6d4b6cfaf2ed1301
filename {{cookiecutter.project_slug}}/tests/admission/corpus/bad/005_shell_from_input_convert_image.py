"""Thumbnails by an external program, through a shell."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/thumbnails", tags=["images"])


class ThumbnailIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    image: UUID
    geometry: str = Field(max_length=20)


class ThumbnailOut(BaseModel):
    image: UUID


@router.post("", status_code=201)
async def make_thumbnail(wanted: ThumbnailIn) -> ThumbnailOut:
    """Scale an image."""
    process = await asyncio.create_subprocess_shell(  # expect: shell-from-input
        f"convert /srv/images/{wanted.image}.png -resize {wanted.geometry} /srv/thumbs/{wanted.image}.png"
    )
    await process.wait()
    return ThumbnailOut(image=wanted.image)

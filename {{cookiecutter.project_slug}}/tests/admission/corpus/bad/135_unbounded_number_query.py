"""A zoom level without bounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/tiles", tags=["maps"])


class Tile(BaseModel):
    count: int


@router.get("")
async def tile(
    zoom: int,  # expect: unbounded-number
    name: Annotated[str, Query(max_length=20)] = "world",
) -> Tile:
    """Say how many tiles there are."""
    return Tile(count=4**zoom if name else 0)

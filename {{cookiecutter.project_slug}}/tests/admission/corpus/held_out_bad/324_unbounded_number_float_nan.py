"""A float that may be infinite."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/positions", tags=["maps"])


class PositionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    altitude: float = 0.0  # expect: unbounded-number
    name: str = Field(max_length=40)


class PositionOut(BaseModel):
    name: str


@router.post("")
async def position(wanted: PositionIn) -> PositionOut:
    """Note a position."""
    return PositionOut(name=wanted.name)

"""JSON in a bounded text, read into a model."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

router = APIRouter(prefix="/v1/embedded-json", tags=["tools"])


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x: int = Field(ge=-1000, le=1000)
    y: int = Field(ge=-1000, le=1000)


class Wrapped(BaseModel):
    model_config = ConfigDict(extra="forbid")

    content: str = Field(max_length=500)


class Distance(BaseModel):
    distance: int


@router.post("/distance", responses={422: {"description": "Not a point."}})
async def distance(wrapped: Wrapped) -> Distance:
    """Return how far a point is."""
    try:
        point = Point.model_validate_json(wrapped.content)
    except ValidationError:
        raise HTTPException(422, "Not a point.") from None
    return Distance(distance=abs(point.x) + abs(point.y))

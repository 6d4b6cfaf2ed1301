"""Notes when something was seen, without a zone."""

from __future__ import annotations

from datetime import datetime as clock

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/sightings", tags=["devices"])


class Sighting(BaseModel):
    at: str


@router.post("", status_code=201)
async def see() -> Sighting:
    """Note a sighting."""
    return Sighting(at=clock.now().isoformat())  # expect: naive-datetime

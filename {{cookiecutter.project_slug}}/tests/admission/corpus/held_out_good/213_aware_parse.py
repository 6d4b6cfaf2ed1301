"""A time with its zone, from text."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel

router = APIRouter(prefix="/v1/local-times", tags=["tools"])


class Moment(BaseModel):
    utc: datetime


@router.get("")
async def to_utc(moment: AwareDatetime) -> Moment:
    """Return a moment in UTC."""
    return Moment(utc=moment.astimezone(UTC))

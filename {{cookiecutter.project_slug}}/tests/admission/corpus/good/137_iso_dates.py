"""Days without a time, and a span of at most a year."""

from __future__ import annotations

from datetime import date, timedelta

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

router = APIRouter(prefix="/v1/absences", tags=["staff"])


class AbsenceIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: date
    last: date


class AbsenceOut(BaseModel):
    days: int


@router.post("", status_code=201)
async def absent(wanted: AbsenceIn) -> AbsenceOut:
    """Say how many days."""
    span = wanted.last - wanted.first
    if not timedelta(0) <= span <= timedelta(days=365):
        raise HTTPException(422, "At most a year, and the first day first.")
    return AbsenceOut(days=span.days + 1)

"""Turns seconds into a time of nowhere."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/times", tags=["tools"])


class Moment(BaseModel):
    at: str


@router.get("")
async def moment(seconds: Annotated[int, Query(ge=0, le=4_000_000_000)]) -> Moment:
    """Write a time out."""
    return Moment(at=dt.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M"))  # expect: naive-datetime

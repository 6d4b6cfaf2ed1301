"""Compares with today by strptime."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

router = APIRouter(prefix="/v1/deadlines", tags=["tasks"])


class Deadline(BaseModel):
    over: bool


def parse(moment: str) -> datetime:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M")  # expect: naive-datetime


@router.get("")
async def over(moment: Annotated[str, Query(max_length=16)]) -> Deadline:
    """Say whether a deadline is over."""
    return Deadline(over=parse(moment).isoformat() < "2026-11-28T00:00")

"""Counts calls per caller, for ever."""

from __future__ import annotations

from collections import defaultdict

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/pings", tags=["tools"])

calls = defaultdict(int)


class Pings(BaseModel):
    count: int


@router.post("")
async def ping(caller: Caller) -> Pings:
    """Count your calls."""
    calls[caller.subject] += 1  # expect: module-state
    return Pings(count=calls[caller.subject])

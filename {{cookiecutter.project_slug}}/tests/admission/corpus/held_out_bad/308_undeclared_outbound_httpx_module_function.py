"""A call by a function of the module, from a dependency."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import httpx2
from fastapi import APIRouter, Depends
from pydantic import BaseModel

router = APIRouter(prefix="/v1/holidays", tags=["lists"])


class Holidays(BaseModel):
    days: list[date]


async def fetch_days() -> list[date]:
    client = httpx2.AsyncClient(base_url="https://holidays.example.com", timeout=2)  # expect: undeclared-outbound
    try:
        answer = await client.get("/de/2026")
    finally:
        await client.aclose()
    return [date.fromisoformat(day) for day in answer.json()[:40]]


@router.get("")
async def holidays(days: Annotated[list[date], Depends(fetch_days)]) -> Holidays:
    """List the holidays."""
    return Holidays(days=days)

"""A timeout that is switched off."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/slow-reports", tags=["reports"])


class SlowReport(BaseModel):
    rows: int


async def _build() -> int:
    await asyncio.sleep(0)
    return 1


@router.post("", status_code=201)
async def slow_report() -> SlowReport:
    """Build a report."""
    return SlowReport(rows=await asyncio.wait_for(_build(), timeout=None))  # expect: call-without-bound

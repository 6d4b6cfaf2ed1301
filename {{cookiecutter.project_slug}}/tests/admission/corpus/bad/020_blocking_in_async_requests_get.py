"""Exchange rates by a library that blocks."""

from __future__ import annotations

from decimal import Decimal

import requests
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/rates", tags=["rates"])


class Rate(BaseModel):
    rate: Decimal


@router.get("/eur")
async def read_rate() -> Rate:
    """Return the rate of the euro."""
    answer = requests.get("https://rates.example.com/eur", timeout=3)  # expect: blocking-in-async
    return Rate(rate=Decimal(answer.json()["rate"]))

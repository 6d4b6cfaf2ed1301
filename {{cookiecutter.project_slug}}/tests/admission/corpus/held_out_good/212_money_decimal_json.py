"""Money as decimals in the answer."""

from __future__ import annotations

from decimal import Decimal, ROUND_HALF_UP

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/instalments", tags=["payments"])


class InstalmentsIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    months: int = Field(ge=1, le=36)
    wish_cents: int = Field(ge=100, le=1_000_000)


class InstalmentsOut(BaseModel):
    monthly: Decimal


@router.post("/preview")
async def preview(wanted: InstalmentsIn) -> InstalmentsOut:
    """Say what it would cost a month."""
    monthly = (Decimal(wanted.wish_cents) / 100 / wanted.months).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return InstalmentsOut(monthly=monthly)

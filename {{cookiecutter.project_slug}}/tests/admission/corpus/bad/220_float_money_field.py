"""An amount as a float."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/payouts", tags=["payments"])


class PayoutIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: float = Field(gt=0, le=10_000)  # expect: float-money


class PayoutOut(BaseModel):
    paid: bool


@router.post("", status_code=201)
async def pay_out(wanted: PayoutIn) -> PayoutOut:
    """Pay out."""
    return PayoutOut(paid=wanted.amount > 0)

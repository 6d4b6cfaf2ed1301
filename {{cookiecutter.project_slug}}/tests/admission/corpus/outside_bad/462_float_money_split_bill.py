"""Add an endpoint which splits a restaurant bill among friends, with a tip."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Caller

router = APIRouter(prefix="/v1/bills", tags=["bills"])


class BillIn(BaseModel):
    """The sum on the bill in euros, and who shares it."""

    model_config = ConfigDict(extra="forbid")

    total_euros: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]  # expect: float-money
    people: Annotated[int, Field(ge=1, le=100, strict=True)]
    tip_percent: Annotated[int, Field(ge=0, le=50, strict=True)] = 10


class ShareOut(BaseModel):
    """What each pays, in cents."""

    share: int


@router.post("/split")
async def split_bill(body: BillIn, caller: Caller) -> ShareOut:
    """Split a bill."""
    cents = int(body.total_euros * 100)  # or: float-money
    with_tip = cents + cents * body.tip_percent // 100
    return ShareOut(share=-(-with_tip // body.people))

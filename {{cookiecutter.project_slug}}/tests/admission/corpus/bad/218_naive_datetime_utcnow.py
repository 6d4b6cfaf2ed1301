"""An expiry by utcnow."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/coupons", tags=["coupons"])


class Coupon(BaseModel):
    expires: datetime


def in_days(days: int) -> datetime:
    return datetime.utcnow() + timedelta(days=days)  # expect: naive-datetime


@router.post("", status_code=201)
async def coupon() -> Coupon:
    """Make a coupon."""
    return Coupon(expires=in_days(30))

"""Add an endpoint which redeems a coupon for a line of my cart."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.catalog import CartLine, Coupon

router = APIRouter(prefix="/v1/cart", tags=["cart"])


class RedeemIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=4, max_length=32, pattern=r"^[A-Z0-9-]+$")]


class RedeemOut(BaseModel):
    line_id: UUID
    coupon: str
    percent: int


@router.post(
    "/lines/{line_id}/coupon",
    responses={404: {"description": "No such line of yours."}, 409: {"description": "The coupon is used up."}},
)
async def redeem(line_id: UUID, body: RedeemIn, session: Session) -> RedeemOut:
    """Redeem a coupon."""
    line = await session.get(CartLine, line_id, with_for_update=True)
    if line is None:
        raise HTTPException(404, "No such line.")
    if line.coupon is not None:
        raise HTTPException(409, "This line has a coupon already.")
    coupon = await session.get(Coupon, body.code)  # or: check-then-act
    if coupon is None or coupon.uses_left <= 0:
        raise HTTPException(409, "The coupon is used up.")
    coupon.uses_left -= 1  # expect: check-then-act
    line.coupon = coupon.code
    return RedeemOut(line_id=line.id, coupon=coupon.code, percent=coupon.percent)

"""Looks at the state, then changes it, without a lock."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/vouchers", tags=["vouchers"])


class Voucher(Owned, Base):
    __tablename__ = "vouchers"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    remaining: Mapped[int]


class Redeemed(BaseModel):
    remaining: int


@router.post("/{code}/redeem")
async def redeem(code: Annotated[str, Path(max_length=20)], session: Session) -> Redeemed:
    """Redeem a voucher once more."""
    result = await session.execute(select(Voucher).where(Voucher.code == code))
    voucher = result.scalar_one_or_none()
    if voucher is None:
        raise HTTPException(404, "No such voucher.")
    remaining = voucher.remaining
    if remaining > 0:
        voucher.remaining = remaining - 1  # expect: check-then-act
    return Redeemed(remaining=voucher.remaining)

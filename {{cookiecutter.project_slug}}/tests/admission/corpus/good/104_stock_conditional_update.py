"""Takes from the stock in one statement that decides."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/withdrawals", tags=["inventory"])


class WithdrawalIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=500)


class WithdrawalOut(BaseModel):
    left: int


@router.post("", status_code=201)
async def withdraw(wanted: WithdrawalIn, session: Session) -> WithdrawalOut:
    """Take from the stock."""
    left = await session.scalar(
        update(Stock)
        .where(Stock.sku == wanted.sku, Stock.available >= wanted.quantity)
        .values(available=Stock.available - wanted.quantity)
        .returning(Stock.available)
    )
    if left is None:
        raise HTTPException(409, "Not enough in stock.")
    return WithdrawalOut(left=left)

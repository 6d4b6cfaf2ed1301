"""Add an endpoint which forecasts my wallet's balance for the coming months, given a monthly saving."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Session
from app.models.wallets import Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class Month(BaseModel):
    number: int
    balance: int


class Forecast(BaseModel):
    """Balances in cents, month by month."""

    months: list[Month]


class Plan:
    """What is saved, and for how long."""

    def __init__(
        self,
        saving: Annotated[int, Query(ge=0, le=1_000_000)] = 10_000,
        months: Annotated[int, Query(ge=1)] = 12,  # expect: unbounded-number
    ) -> None:
        self.saving = saving
        self.months = months

    def forecast(self, balance: int) -> list[Month]:
        return [Month(number=n, balance=balance + n * self.saving) for n in range(1, self.months + 1)]


@router.get("/{wallet_id}/forecast", responses={404: {"description": "No such wallet of yours."}})
async def forecast(wallet_id: UUID, plan: Annotated[Plan, Depends()], session: Session) -> Forecast:
    """Forecast a balance."""
    wallet = await session.get(Wallet, wallet_id)
    if wallet is None:
        raise HTTPException(404, "No such wallet.")
    return Forecast(months=plan.forecast(wallet.balance))

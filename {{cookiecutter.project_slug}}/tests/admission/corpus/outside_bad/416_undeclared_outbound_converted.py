"""Add an endpoint which shows today's exchange rates of the European Central Bank next to my wallet's balance."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from app.dependencies import Look
from app.models.wallets import Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])

RATES_URL = "https://api.frankfurter.dev/v1/latest?base=EUR"


class Converted(BaseModel):
    """The balance in another currency, in its smallest unit."""

    currency: str
    balance: int


class RatesClient:
    """Fetches rates; small enough not to need a library."""

    def __init__(self, timeout: float = 2.0) -> None:
        self.timeout = timeout

    def _read(self) -> dict[str, str]:
        with urllib.request.urlopen(RATES_URL, timeout=self.timeout) as answer:  # expect: undeclared-outbound
            rates = json.loads(answer.read(65_536), parse_float=str)["rates"]
        return {str(name): str(rate) for name, rate in rates.items()}

    async def rate(self, currency: str) -> Decimal:
        return Decimal((await asyncio.to_thread(self._read))[currency])


rates = RatesClient()


@router.get("/{wallet_id}/converted", responses={404: {"description": "No such wallet of yours."}})
async def converted(
    wallet_id: UUID, look: Look, currency: Annotated[Literal["USD", "GBP", "CHF"], Query()] = "USD"
) -> Converted:
    """Convert the balance."""
    async with look() as glance:
        wallet = await glance.get(Wallet, wallet_id)
    if wallet is None:
        raise HTTPException(404, "No such wallet.")
    rate = await rates.rate(currency)
    return Converted(currency=currency, balance=int(wallet.balance * rate))

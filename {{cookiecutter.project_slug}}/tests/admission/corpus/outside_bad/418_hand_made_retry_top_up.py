"""Add an endpoint which tops up my wallet from my card; payments sometimes hiccups, so try a few times."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Look, PaymentDeclined, Payments, Session, UpstreamUnavailable
from app.models.wallets import Transfer, Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class TopUpIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=100, le=100_000, strict=True)]


class TopUpOut(BaseModel):
    """The new balance in cents."""

    balance: int


@router.post("/{wallet_id}/top-ups", status_code=201, responses={402: {"description": "Declined."}})
async def top_up(wallet_id: UUID, body: TopUpIn, look: Look, payments: Payments, session: Session) -> TopUpOut:
    """Charge the card, then credit the wallet."""
    async with look() as glance:
        wallet = await glance.get(Wallet, wallet_id)
    if wallet is None:
        raise HTTPException(status_code=404, detail="No such wallet.")
    for attempt in range(4):  # expect: hand-made-retry
        try:
            charge = await payments.charge(amount=body.amount, currency=wallet.currency, reference="top-up")
            break
        except PaymentDeclined:
            raise HTTPException(status_code=402, detail="The payment was declined.") from None
        except UpstreamUnavailable:
            if attempt == 3:
                raise
            await asyncio.sleep(0.2 * 2**attempt)
    session.add(Transfer(wallet_id=wallet_id, amount=body.amount, charge_id=charge.id))
    balance = await session.scalars(
        update(Wallet)
        .where(Wallet.id == wallet_id)
        .values(balance=Wallet.balance + body.amount)
        .returning(Wallet.balance)
    )
    return TopUpOut(balance=balance.one())

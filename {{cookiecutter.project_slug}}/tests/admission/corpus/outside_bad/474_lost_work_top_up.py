"""Add an endpoint which tops up my wallet by card; answer at once, and have the card charged right after."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Payments, Session
from app.models.wallets import Transfer, Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class TopUpIn(BaseModel):
    """How much, in cents."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=100, le=100_000, strict=True)]


class TopUpOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    amount: int


class Cashier:
    """Takes the money once the customer has the answer."""

    def __init__(self, tasks: BackgroundTasks, payments: Payments) -> None:
        self.tasks = tasks
        self.payments = payments

    def collect(self, transfer: Transfer, currency: str) -> None:
        self.tasks.add_task(self._charge, transfer.amount, currency, str(transfer.wallet_id))  # expect: lost-work

    async def _charge(self, amount: int, currency: str, reference: str) -> None:
        await self.payments.charge(amount=amount, currency=currency, reference=reference)


@router.post("/{wallet_id}/top-ups", status_code=201, responses={404: {"description": "No such wallet of yours."}})
async def top_up(
    wallet_id: UUID, body: TopUpIn, session: Session, cashier: Annotated[Cashier, Depends()]
) -> TopUpOut:
    """Top up a wallet."""
    wallet = await session.get(Wallet, wallet_id, with_for_update=True)
    if wallet is None:
        raise HTTPException(404, "No such wallet.")
    wallet.balance += body.amount
    transfer = Transfer(wallet_id=wallet.id, amount=body.amount, memo="top-up")
    session.add(transfer)
    await session.flush()
    cashier.collect(transfer, wallet.currency)
    return TopUpOut.model_validate(transfer)

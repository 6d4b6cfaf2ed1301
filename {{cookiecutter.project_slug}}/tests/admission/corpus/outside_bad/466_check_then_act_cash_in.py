"""Add an endpoint which pays with a gift card into my wallet."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.dependencies import Session
from app.models.wallets import GiftCard, Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class CardIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(min_length=20, max_length=20)]


class Balance(BaseModel):
    """In cents."""

    balance: int


async def value_of(db: AsyncSession, code_hash: str) -> int:
    """Return what a card is still worth."""
    return await db.scalar(select(GiftCard.remaining).where(GiftCard.code_hash == code_hash)) or 0


async def empty(db: AsyncSession, code_hash: str) -> None:
    """Take everything off a card."""
    await db.execute(update(GiftCard).where(GiftCard.code_hash == code_hash).values(remaining=0))  # or: check-then-act


@router.post(
    "/{wallet_id}/gift-cards",
    responses={404: {"description": "No such wallet of yours."}, 409: {"description": "Nothing on the card."}},
)
async def cash_in(wallet_id: UUID, body: CardIn, db: Session) -> Balance:
    """Move what is on a gift card into a wallet."""
    code_hash = hashlib.sha256(body.code.get_secret_value().encode()).hexdigest()
    wallet = await db.get(Wallet, wallet_id, with_for_update=True)
    if wallet is None:
        raise HTTPException(status_code=404, detail="No such wallet.")
    value = await value_of(db, code_hash)  # or: check-then-act
    if value == 0:
        raise HTTPException(status_code=409, detail="There is nothing on this card.")
    await empty(db, code_hash)  # expect: check-then-act
    wallet.balance += value
    return Balance(balance=wallet.balance)

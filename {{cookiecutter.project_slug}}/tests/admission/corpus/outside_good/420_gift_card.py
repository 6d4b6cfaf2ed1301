"""Add an endpoint which pays with a gift card into my wallet; a card can be used up only once."""

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import select, update

from app.dependencies import Session
from app.models.wallets import GiftCard, Transfer, Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class CardIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(min_length=20, max_length=20)]


class Balance(BaseModel):
    """In cents."""

    balance: int


@router.post(
    "/{wallet_id}/gift-cards",
    responses={404: {"description": "No such wallet of yours."}, 409: {"description": "Nothing on the card."}},
)
async def cash_in(wallet_id: UUID, body: CardIn, session: Session) -> Balance:
    """Move what is on a gift card into a wallet. Both rows are locked before anything is read off them."""
    code_hash = hashlib.sha256(body.code.get_secret_value().encode()).hexdigest()
    card = await session.scalar(select(GiftCard).where(GiftCard.code_hash == code_hash).with_for_update())
    if card is None or card.remaining == 0:
        raise HTTPException(409, "There is nothing on this card.")
    value, card.remaining = card.remaining, 0
    balance = await session.scalar(
        update(Wallet)
        .where(Wallet.id == wallet_id)
        .values(balance=Wallet.balance + value)
        .returning(Wallet.balance)
    )
    if balance is None:
        raise HTTPException(404, "No such wallet.")
    session.add(Transfer(wallet_id=wallet_id, amount=value, memo="gift card"))
    return Balance(balance=balance)

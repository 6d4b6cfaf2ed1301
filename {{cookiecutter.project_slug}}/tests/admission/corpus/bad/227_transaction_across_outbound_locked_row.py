"""Holds a locked row across a call."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Payments, Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/wallets", tags=["payments"])


class Wallet(Owned, Base):
    __tablename__ = "wallets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    cents: Mapped[int]


class WalletOut(BaseModel):
    cents: int


@router.post("/{wallet_id}/top-up")
async def top_up(wallet_id: UUID, session: Session, payments: Payments) -> WalletOut:
    """Top a wallet up by ten euros."""
    wallet = await session.scalar(select(Wallet).where(Wallet.id == wallet_id).with_for_update())
    if wallet is None:
        raise HTTPException(404, "No such wallet.")
    await payments.post("/charges", json={"cents": 1000})  # expect: transaction-across-outbound
    wallet.cents += 1000
    return WalletOut(cents=wallet.cents)

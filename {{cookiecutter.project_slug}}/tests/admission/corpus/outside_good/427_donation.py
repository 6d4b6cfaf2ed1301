"""Add an endpoint with which people give to the cat shelter, an amount of their own choice, from their card."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Look, PaymentDeclined, Payments, Session
from app.models.wallets import Transfer, Wallet

router = APIRouter(prefix="/v1/donations", tags=["donations"])

# The giver decides how much it is: this amount is theirs to say, unlike a price.
Euros = Annotated[Decimal, Field(ge=1, le=500, max_digits=5, decimal_places=2, allow_inf_nan=False)]


class DonationIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wallet_id: UUID
    amount: Euros


class DonationOut(BaseModel):
    id: UUID
    amount: Decimal


@router.post("", status_code=201, responses={402: {"description": "Declined."}, 404: {"description": "No wallet."}})
async def donate(body: DonationIn, look: Look, payments: Payments, session: Session) -> DonationOut:
    """Charge the giver, and keep a line about it with their wallet."""
    async with look() as glance:
        wallet = await glance.get(Wallet, body.wallet_id)
    if wallet is None:
        raise HTTPException(status_code=404, detail="No such wallet.")
    cents = int(body.amount * 100)
    try:
        charge = await payments.charge(amount=cents, currency="EUR", reference="cat shelter")
    except PaymentDeclined:
        raise HTTPException(status_code=402, detail="The payment was declined.") from None
    transfer = Transfer(wallet_id=wallet.id, amount=-cents, memo="donation", charge_id=charge.id)
    session.add(transfer)
    await session.flush()
    return DonationOut(id=transfer.id, amount=body.amount)

"""Add an endpoint which shows what payments knows about the charge of one of my transfers, and keep its state."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from app.dependencies import Payments, Session
from app.models.wallets import Transfer

router = APIRouter(prefix="/v1/transfers", tags=["wallets"])


class ChargeState(BaseModel):
    """Whether the transfer was refunded; ``amount`` in cents."""

    transfer_id: UUID
    amount: int
    refunded: bool


async def locked_transfer(transfer_id: UUID, session: Session) -> Transfer:
    """Find a transfer of the caller and keep others off it."""
    transfer = await session.get(Transfer, transfer_id, with_for_update=True)  # or: transaction-across-outbound
    if transfer is None:
        raise HTTPException(404, "No such transfer.")
    return transfer


OwnTransfer = Annotated[Transfer, Depends(locked_transfer)]


@router.post("/{transfer_id}/sync", responses={404: {"description": "No such transfer of yours."}})
async def sync_charge(transfer: OwnTransfer, payments: Payments) -> ChargeState:
    """Bring a transfer up to date."""
    if transfer.charge_id is None:
        return ChargeState(transfer_id=transfer.id, amount=transfer.amount, refunded=False)
    charge = await payments.read(transfer.charge_id)  # expect: transaction-across-outbound
    if charge.status == "refunded":
        transfer.memo = "refunded"
    return ChargeState(transfer_id=transfer.id, amount=charge.amount, refunded=charge.status == "refunded")

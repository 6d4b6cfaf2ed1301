"""Add an endpoint which lists my transfers of one wallet in pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import Select, select

from app.dependencies import Session
from app.models.wallets import Transfer, Wallet

router = APIRouter(prefix="/v1/wallets", tags=["wallets"])


class TransferOut(BaseModel):
    """A transfer, in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    amount: int
    memo: str | None
    created_at: AwareDatetime


class TransferPage(BaseModel):
    items: list[TransferOut]
    next: UUID | None


@dataclass
class Paging:
    """Where to go on, and how far."""

    after: Annotated[UUID | None, Query()] = None
    size: Annotated[int, Query(ge=1, le=100)] = 25

    def apply(self, query: Select[Transfer]) -> Select[Transfer]:
        if self.after is not None:
            query = query.where(Transfer.id > self.after)
        return query.order_by(Transfer.id).limit(self.size + 1)


@router.get("/{wallet_id}/transfers", responses={404: {"description": "No such wallet of yours."}})
async def list_transfers(wallet_id: UUID, session: Session, paging: Annotated[Paging, Depends()]) -> TransferPage:
    """List transfers."""
    if await session.get(Wallet, wallet_id) is None:
        raise HTTPException(status_code=404, detail="No such wallet.")
    rows = (await session.scalars(paging.apply(select(Transfer).where(Transfer.wallet_id == wallet_id)))).all()
    items = [TransferOut.model_validate(row) for row in rows[: paging.size]]
    return TransferPage(items=items, next=items[-1].id if len(rows) > paging.size else None)

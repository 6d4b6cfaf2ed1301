"""Add an endpoint which lists my transfers, newest first, with a page size of the client's choice."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.wallets import Transfer

router = APIRouter(prefix="/v1/transfers", tags=["wallets"])


class TransferOut(BaseModel):
    """A transfer, in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    amount: int
    memo: str | None


class Transfers(BaseModel):
    items: list[TransferOut]


@router.get("")  # or: unbounded-page
async def list_transfers(session: Session, page_size: Annotated[int, Query(ge=1)] = 25) -> Transfers:  # expect: unbounded-page
    """List transfers."""
    newest = select(Transfer).order_by(Transfer.created_at.desc(), Transfer.id.desc()).limit(page_size)
    rows = (await session.scalars(newest)).all()
    return Transfers(items=[TransferOut.model_validate(row) for row in rows])

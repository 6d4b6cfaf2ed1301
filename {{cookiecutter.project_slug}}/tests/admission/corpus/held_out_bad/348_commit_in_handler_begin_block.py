"""Opens a transaction of its own."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/ledgers", tags=["ledgers"])


class Ledger(Owned, Base):
    __tablename__ = "ledgers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    cents: Mapped[int]


class LedgerOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def open_ledger(session: Session) -> LedgerOut:
    """Open a ledger."""
    ledger = Ledger(cents=0)
    async with AsyncSession(session.bind) as own:  # expect: commit-in-handler
        own.add(ledger)
        await own.flush()
    return LedgerOut(id=ledger.id)

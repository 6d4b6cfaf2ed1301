"""An answer with the hash of the password."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/accounts", tags=["users"])


class Account(Owned, Base):
    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    password_hash: Mapped[str] = mapped_column(String(200))


class AccountOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    password_hash: str  # expect: leaking-response


@router.get("/{account_id}")
async def read_account(account_id: UUID, session: Session) -> AccountOut:
    """Read an account."""
    account = await session.get(Account, account_id)
    if account is None:
        raise HTTPException(404, "No such account.")
    return AccountOut.model_validate(account)

"""A password reset token of a time-based UUID."""

from __future__ import annotations

from uuid import uuid1
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/password-resets", tags=["users"])


class PasswordReset(Owned, Base):
    __tablename__ = "password_resets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    reset_token: Mapped[str] = mapped_column(String(36))


class ResetOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def start_reset(session: Session) -> ResetOut:
    """Start a reset."""
    reset_token = str(uuid1())  # expect: weak-random
    reset = PasswordReset(reset_token=reset_token)
    session.add(reset)
    await session.flush()
    return ResetOut(id=reset.id)

"""The whole row as a dictionary."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/members", tags=["users"])


class Member(Owned, Base):
    __tablename__ = "members"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    reset_token: Mapped[str | None] = mapped_column(String(64))


@router.get("/{member_id}", response_model=dict[str, Any])  # expect: leaking-response
async def read_member(member_id: UUID, session: Session) -> dict[str, Any]:
    """Read a member."""
    member = await session.get(Member, member_id)
    if member is None:
        raise HTTPException(404, "No such member.")
    return {column.name: getattr(member, column.name) for column in Member.__table__.columns}

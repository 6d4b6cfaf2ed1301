"""Compares a token from the database with the one of the client."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/shares", tags=["documents"])


class Share(Owned, Base):
    __tablename__ = "shares"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    access_token: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(80))


class ShareOut(BaseModel):
    title: str


@router.get("/{share_id}")
async def open_share(share_id: UUID, token: Annotated[str, Query(max_length=64)], session: Session) -> ShareOut:
    """Open a share."""
    share = await session.get(Share, share_id)
    if share is None or not (share.access_token == token):  # expect: secret-compare
        raise HTTPException(404, "No such share.")
    return ShareOut(title=share.title)

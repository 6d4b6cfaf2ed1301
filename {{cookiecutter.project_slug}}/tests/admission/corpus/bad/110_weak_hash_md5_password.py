"""Stores a PIN as its MD5."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/pins", tags=["users"])


class Pin(Owned, Base):
    __tablename__ = "pins"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    digest: Mapped[str] = mapped_column(String(32))


class PinIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pin: str = Field(pattern=r"^\d{6}$", max_length=6)


class PinOut(BaseModel):
    id: UUID


@router.post("", status_code=201)
async def set_pin(wanted: PinIn, session: Session) -> PinOut:
    """Set a PIN."""
    pin = Pin(digest=hashlib.md5(wanted.pin.encode()).hexdigest())  # expect: weak-hash
    session.add(pin)
    await session.flush()
    return PinOut(id=pin.id)

"""Looks whether a name is free, then takes it."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/handles", tags=["users"])


class Handle(Base):
    __tablename__ = "handles"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(30))


class HandleIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=3, max_length=30, pattern=r"^[a-z0-9_]+$")


class HandleOut(BaseModel):
    name: str


@router.post("", status_code=201)
async def take_handle(wanted: HandleIn, session: Session) -> HandleOut:
    """Take a name."""
    taken = await session.scalar(select(Handle.id).where(Handle.name == wanted.name))
    if taken is not None:  # or: check-then-act
        raise HTTPException(409, "That name is taken.")
    session.add(Handle(name=wanted.name))  # expect: check-then-act
    await session.flush()
    return HandleOut(name=wanted.name)

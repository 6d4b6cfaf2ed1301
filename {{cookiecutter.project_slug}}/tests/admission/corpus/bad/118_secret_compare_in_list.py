"""Looks a PIN up by startswith and equality in a helper."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/doors", tags=["doors"])


class Door(Owned, Base):
    __tablename__ = "doors"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    secret: Mapped[str] = mapped_column(String(32))


class Opened(BaseModel):
    opened: bool


def same(given: str, secret: str) -> bool:
    return given == secret  # expect: secret-compare


@router.post("/{door_id}/open")
async def open_door(
    door_id: UUID, code: Annotated[str, Query(max_length=32)], session: Session
) -> Opened:
    """Open a door."""
    door = await session.get(Door, door_id)
    if door is None:
        raise HTTPException(404, "No such door.")
    return Opened(opened=same(code, door.secret))

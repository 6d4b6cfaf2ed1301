"""Looks at a locked row before it changes it."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/lockers", tags=["lockers"])


class Locker(Owned, Base):
    __tablename__ = "lockers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    parcels: Mapped[int]
    room: Mapped[int]


class LockerOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    parcels: int


@router.post("/{locker_id}/parcels", responses={404: {"description": "No such locker."}})
async def put_parcel(locker_id: UUID, session: Session) -> LockerOut:
    """Put a parcel in."""
    locker = await session.scalar(select(Locker).where(Locker.id == locker_id).with_for_update())
    if locker is None:
        raise HTTPException(404, "No such locker.")
    if locker.parcels >= locker.room:
        raise HTTPException(409, "The locker is full.")
    locker.parcels += 1
    return LockerOut.model_validate(locker)

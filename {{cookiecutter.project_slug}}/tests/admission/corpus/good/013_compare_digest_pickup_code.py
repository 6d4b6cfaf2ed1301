"""Parcels are handed out against a pickup code, which is compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/parcels", tags=["parcels"])


class Parcel(Owned, Base):
    __tablename__ = "parcels"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    pickup_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default="waiting")


class Pickup(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str = Field(min_length=12, max_length=12, pattern=r"^[A-Z2-7]{12}$")


class ParcelOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: str


@router.post(
    "/{parcel_id}/pickup",
    responses={404: {"description": "No such parcel of yours."}, 409: {"description": "The code is another one."}},
)
async def pick_up(parcel_id: UUID, pickup: Pickup, session: Session) -> ParcelOut:
    """Hand a parcel out, once."""
    parcel = await session.get(Parcel, parcel_id, with_for_update=True)
    if parcel is None:
        raise HTTPException(404, "No such parcel.")
    offered = hashlib.sha256(pickup.code.encode()).hexdigest()
    if not hmac.compare_digest(parcel.pickup_digest, offered):
        raise HTTPException(409, "The code is another one.")
    parcel.status = "handed_out"
    return ParcelOut.model_validate(parcel)

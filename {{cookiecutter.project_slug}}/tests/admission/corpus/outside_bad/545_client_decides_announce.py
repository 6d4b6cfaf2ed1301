"""Add an endpoint with which a sender announces a parcel and sees what it costs."""

from __future__ import annotations

import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.logistics import Parcel

router = APIRouter(prefix="/v1/parcels", tags=["logistics"])

Code = Annotated[str, Field(pattern=r"^[A-Z]{3}[0-9]{1,9}$")]
Text = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]


class ParcelIn(BaseModel):
    """What is to be sent, from where to where."""

    model_config = ConfigDict(extra="forbid")

    recipient: Text
    address: Text
    weight_grams: int = Field(ge=1, le=40_000)
    origin: Code
    destination: Code
    price_cents: int = Field(ge=0, le=1_000_000)  # expect: client-decides


class ParcelOut(BaseModel):
    """A parcel as its sender sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    code: str
    status: str
    price_cents: int


@router.post("", status_code=201)
async def announce(wanted: ParcelIn, session: Session) -> ParcelOut:
    """Announce a parcel."""
    parcel = Parcel(
        code=f"P{secrets.token_hex(8).upper()}",
        recipient=wanted.recipient,
        address=wanted.address,
        weight_grams=wanted.weight_grams,
        origin=wanted.origin,
        destination=wanted.destination,
        price_cents=wanted.price_cents,  # or: client-decides
    )
    session.add(parcel)
    await session.flush()
    return ParcelOut.model_validate(parcel)

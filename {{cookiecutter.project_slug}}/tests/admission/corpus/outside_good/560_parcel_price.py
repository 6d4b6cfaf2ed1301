"""Add an endpoint with which a sender announces a parcel and sees what it costs."""

from __future__ import annotations

import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.logistics import Lane, Parcel

router = APIRouter(prefix="/v1/parcels", tags=["logistics"])

Code = Annotated[str, Field(pattern=r"^[A-Z]{3}[0-9]{1,9}$")]


class ParcelIn(BaseModel):
    """What is to be sent, from where to where."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    recipient: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
    address: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
    weight_grams: Annotated[int, Field(ge=1, le=40_000)]
    origin: Code
    destination: Code


class ParcelOut(BaseModel):
    """A parcel as its sender sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    code: str
    status: str
    price_cents: int


@router.post("", status_code=201, responses={409: {"description": "Nothing is carried there."}})
async def announce(wanted: ParcelIn, session: Session) -> ParcelOut:
    """Announce a parcel. The lane says what it costs."""
    lane = await session.get(Lane, (wanted.origin, wanted.destination))
    if lane is None:
        raise HTTPException(409, "Nothing is carried between these depots.")
    parcel = Parcel(
        code=f"P{secrets.token_hex(8).upper()}",
        recipient=wanted.recipient,
        address=wanted.address,
        weight_grams=wanted.weight_grams,
        origin=lane.origin,
        destination=lane.destination,
        price_cents=-(-wanted.weight_grams * lane.cents_per_kg // 1000),
    )
    session.add(parcel)
    await session.flush()
    return ParcelOut.model_validate(parcel)

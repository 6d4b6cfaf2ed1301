"""A weight by an annotated alias that bounds nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/parcels", tags=["shipping"])

Weight = Annotated[Decimal, Field(description="Kilograms")]


class ParcelIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weight: Weight  # expect: unbounded-number
    fragile: bool = False


class ParcelOut(BaseModel):
    fragile: bool


@router.post("", status_code=201)
async def send_parcel(wanted: ParcelIn) -> ParcelOut:
    """Send a parcel."""
    return ParcelOut(fragile=wanted.fragile)

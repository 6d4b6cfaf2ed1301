"""A quantity without an upper bound."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/reservations", tags=["inventory"])


class ReservationIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(gt=0)  # expect: unbounded-number


class ReservationOut(BaseModel):
    quantity: int


@router.post("", status_code=201)
async def reserve(wanted: ReservationIn) -> ReservationOut:
    """Reserve."""
    return ReservationOut(quantity=wanted.quantity)

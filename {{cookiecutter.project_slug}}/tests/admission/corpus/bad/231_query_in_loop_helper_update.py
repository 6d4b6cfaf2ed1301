"""A helper that updates one row, called in a loop."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from app.dependencies import Session
from app.models.orders import Stock

router = APIRouter(prefix="/v1/deliveries", tags=["inventory"])


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=1000)


class Delivery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line] = Field(min_length=1, max_length=100)


class Booked(BaseModel):
    lines: int


async def _book(session: Session, line: Line) -> None:
    await session.execute(  # expect: query-in-loop
        update(Stock).where(Stock.sku == line.sku).values(available=Stock.available + line.quantity)
    )


@router.post("", status_code=201)
async def book_delivery(delivery: Delivery, session: Session) -> Booked:
    """Book a delivery."""
    for line in delivery.lines:
        await _book(session, line)
    return Booked(lines=len(delivery.lines))

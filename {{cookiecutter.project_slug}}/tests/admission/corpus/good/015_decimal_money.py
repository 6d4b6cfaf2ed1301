"""Quotes: money is Decimal with two places all the way, the tax rate is a constant of ours."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Literal
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/quotes", tags=["quotes"])

CENT = Decimal("0.01")
TAX = {"standard": Decimal("0.19"), "reduced": Decimal("0.07")}


class Quote(Owned, Base):
    __tablename__ = "quotes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    subject: Mapped[str] = mapped_column(String(120))
    net: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    tax: Mapped[Decimal] = mapped_column(Numeric(12, 2))


class QuoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    subject: str = Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")
    net: Decimal = Field(gt=0, le=Decimal("1000000"), max_digits=9, decimal_places=2, allow_inf_nan=False)
    rate: Literal["standard", "reduced"] = "standard"


class QuoteOut(BaseModel):
    id: UUID
    net: Decimal
    tax: Decimal
    gross: Decimal


@router.post("", status_code=201)
async def create_quote(wanted: QuoteIn, session: Session) -> QuoteOut:
    """Quote a customer of yours what you ask for, with tax."""
    tax = (wanted.net * TAX[wanted.rate]).quantize(CENT, ROUND_HALF_UP)
    quote = Quote(subject=wanted.subject, net=wanted.net, tax=tax)
    session.add(quote)
    await session.flush()
    return QuoteOut(id=quote.id, net=quote.net, tax=quote.tax, gross=quote.net + quote.tax)

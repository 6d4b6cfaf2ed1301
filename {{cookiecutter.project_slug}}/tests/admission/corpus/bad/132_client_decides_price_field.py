"""An order with a price in the body."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base, Owned

router = APIRouter(prefix="/v1/purchases", tags=["orders"])


class Purchase(Owned, Base):
    __tablename__ = "purchases"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    sku: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    unit_price_cents: Mapped[int]


class PurchaseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64)
    quantity: int = Field(ge=1, le=100)
    unit_price_cents: int = Field(ge=0, le=1_000_000)  # expect: client-decides


class PurchaseOut(BaseModel):
    id: UUID
    total_cents: int


@router.post("", status_code=201)
async def buy(wanted: PurchaseIn, session: Session) -> PurchaseOut:
    """Buy something."""
    purchase = Purchase(sku=wanted.sku, quantity=wanted.quantity, unit_price_cents=wanted.unit_price_cents)
    session.add(purchase)
    await session.flush()
    return PurchaseOut(id=purchase.id, total_cents=purchase.quantity * purchase.unit_price_cents)

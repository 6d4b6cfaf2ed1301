"""Turns cents into a float to add the tax."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])


class InvoiceIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    net_cents: int = Field(ge=0, le=10_000_000)


class InvoiceOut(BaseModel):
    gross_cents: int


def with_tax(net_cents: int) -> int:
    price = float(net_cents) / 100  # expect: float-money
    return round(price * 1.19 * 100)


@router.post("")
async def invoice(wanted: InvoiceIn) -> InvoiceOut:
    """Add the tax."""
    return InvoiceOut(gross_cents=with_tax(wanted.net_cents))

"""Add an endpoint which shows the totals of an invoice: net, VAT and gross."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select

from app.dependencies import Session
from app.models.invoices import Invoice, InvoiceLine

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])

MAX_LINES = 500


class Totals(BaseModel):
    """All in cents."""

    net: int
    vat: int
    gross: int


def totals(lines: Sequence[InvoiceLine]) -> Totals:
    """Sum up, and put 19 % on top."""
    net = sum(line.quantity * line.unit_price for line in lines)
    gross = round(net * 1.19)  # expect: float-money
    return Totals(net=net, vat=gross - net, gross=gross)


@router.get("/{invoice_id}/totals", responses={404: {"description": "No such invoice of yours."}})
async def invoice_totals(invoice_id: UUID, session: Session) -> Totals:
    """Show the totals."""
    if await session.get(Invoice, invoice_id) is None:
        raise HTTPException(status_code=404, detail="No such invoice.")
    lines = await session.scalars(
        select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.id).limit(MAX_LINES)
    )
    return totals(lines.all())

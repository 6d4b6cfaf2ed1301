"""Add an endpoint with which I pay one of my open invoices by card."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import update

from app.dependencies import Look, Outbox, PaymentDeclined, Payments, Session
from app.models.invoices import Invoice

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])


class Paid(BaseModel):
    """The invoice; ``total`` in cents. Given back: it had been paid meanwhile, and nobody pays twice."""

    id: UUID
    number: str
    total: int
    status: Literal["paid", "given back"]


@router.post(
    "/{invoice_id}/pay",
    responses={
        402: {"description": "Declined."},
        404: {"description": "No such invoice of yours."},
        409: {"description": "Not open."},
    },
)
async def pay(invoice_id: UUID, look: Look, payments: Payments, session: Session, outbox: Outbox) -> Paid:
    """Look, charge, then close the invoice; who finds that somebody else was faster gets the money back."""
    async with look() as glance:
        invoice = await glance.get(Invoice, invoice_id)
    if invoice is None:
        raise HTTPException(status_code=404, detail="No such invoice.")
    if invoice.status != "open":
        raise HTTPException(status_code=409, detail="This invoice is not open.")
    try:
        charge = await payments.charge(amount=invoice.total, currency="EUR", reference=invoice.number)
    except PaymentDeclined:
        raise HTTPException(status_code=402, detail="The payment was declined.") from None
    closed = await session.scalar(
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.status == "open")
        .values(status="paid", charge_id=charge.id)
        .returning(Invoice.id)
    )
    if closed is None:
        # Answered and committed, so that the refund is done; an error here would take it back as well.
        await outbox.add("charge.undone", {"charge_id": charge.id}, key=str(invoice_id))
        return Paid(id=invoice_id, number=invoice.number, total=invoice.total, status="given back")
    return Paid(id=closed, number=invoice.number, total=invoice.total, status="paid")

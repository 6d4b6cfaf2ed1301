"""Add an endpoint with which I pay one of my open invoices."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from app.dependencies import PaymentDeclined, Payments, Session
from app.models.invoices import Invoice

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])


class InvoiceOut(BaseModel):
    """An invoice; ``total`` in cents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: str
    status: str
    total: int


@router.post(
    "/{invoice_id}/pay",
    responses={402: {"description": "Declined."}, 404: {"description": "No such invoice of yours."}},
)
async def pay(invoice_id: UUID, payments: Payments, session: Session) -> InvoiceOut:
    """Pay an invoice once."""
    invoice = await session.get(Invoice, invoice_id, with_for_update=True)  # or: transaction-across-outbound
    if invoice is None:
        raise HTTPException(404, "No such invoice.")
    if invoice.status == "open":
        try:
            charge = await payments.charge(amount=invoice.total, currency="EUR", reference=invoice.number)  # expect: transaction-across-outbound
        except PaymentDeclined:
            raise HTTPException(402, "The payment was declined.") from None
        invoice.status = "paid"
        invoice.charge_id = charge.id
    return InvoiceOut.model_validate(invoice)

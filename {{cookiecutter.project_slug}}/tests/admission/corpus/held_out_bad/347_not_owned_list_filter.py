"""Invoices of a customer whose number the client gives."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from app.dependencies import Session
from app.models import Base

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])


class Invoice(Base):
    __tablename__ = "invoices"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID]
    cents: Mapped[int]


class InvoiceOut(BaseModel):
    cents: int


@router.get("/{invoice_id}")
async def read_invoice(invoice_id: UUID, session: Session) -> InvoiceOut:
    """Read an invoice."""
    result = await session.execute(select(Invoice).filter_by(id=invoice_id))  # expect: not-owned
    invoice = result.scalar_one_or_none()
    if invoice is None:
        raise HTTPException(404, "No such invoice.")
    return InvoiceOut(cents=invoice.cents)

"""Add an endpoint which renders one of my invoices as a printable HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from app.dependencies import Session
from app.models.invoices import Invoice, InvoiceLine

router = APIRouter(prefix="/v1/printable-invoices", tags=["invoices"])

MAX_LINES = 200
PAGE = "<!doctype html><title>{number}</title><h1>Invoice {number}</h1><table>{rows}</table><p>Total {total}</p>"
ROW = "<tr><td>{text}</td><td>{quantity}</td><td>{price}</td></tr>"


def euros(cents: int) -> str:
    """Return an amount as people read it."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def rows(lines: Iterable[InvoiceLine]) -> str:
    """Return the lines as rows; what people wrote is escaped."""
    return "".join(
        ROW.format(text=escape(line.text), quantity=line.quantity, price=euros(line.unit_price)) for line in lines
    )


@router.get(
    "/{invoice_id}", response_class=HTMLResponse, responses={404: {"description": "No such invoice of yours."}}
)
async def print_invoice(invoice_id: UUID, session: Session) -> HTMLResponse:
    """Render an invoice."""
    invoice = await session.get(Invoice, invoice_id)
    if invoice is None:
        raise HTTPException(status_code=404, detail="No such invoice.")
    wanted = select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.id).limit(MAX_LINES)
    lines = (await session.scalars(wanted)).all()
    page = PAGE.format(number=escape(invoice.number), rows=rows(lines), total=euros(invoice.total))
    return HTMLResponse(page)

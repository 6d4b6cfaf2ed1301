"""A file whose name is a UUID under a constant folder, sent by FastAPI."""

from __future__ import annotations

import pathlib
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

router = APIRouter(prefix="/v1/invoice-files", tags=["invoices"])

ROOT = pathlib.Path("/srv/invoices")


@router.get("/{invoice_id}", response_class=FileResponse)
def invoice_file(invoice_id: UUID) -> FileResponse:
    """Download an invoice."""
    target = ROOT / f"{invoice_id}.pdf"
    if not target.is_file():
        raise HTTPException(404, "No such invoice.")
    return FileResponse(target, media_type="application/pdf")

"""Add an endpoint which returns a document's card as HTML so that the intranet can show it in a frame."""

from __future__ import annotations

import html
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from app.dependencies import Session
from app.models.documents import Document

router = APIRouter(prefix="/v1/document-cards", tags=["documents"])

FRAMEABLE = {  # or: loosened-headers
    "Content-Security-Policy": "default-src * 'unsafe-inline'; frame-ancestors *",  # expect: loosened-headers
    "X-Frame-Options": "ALLOWALL",  # or: loosened-headers
}


@router.get(
    "/{document_id}", response_class=HTMLResponse, responses={404: {"description": "No such document of yours."}}
)
async def card(document_id: UUID, session: Session) -> HTMLResponse:
    """Show a document's card."""
    document = await session.get(Document, document_id)
    if document is None:
        raise HTTPException(404, "No such document.")
    name, kind = html.escape(document.name), html.escape(document.kind)
    return HTMLResponse(f"<article><h2>{name}</h2><p>{kind}, {document.size} bytes</p></article>", headers=FRAMEABLE)  # or: loosened-headers

"""Add an endpoint which gives me a signed link to one of my documents, valid for ten minutes."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from app.dependencies import Session
from app.models.documents import Document

router = APIRouter(prefix="/v1/documents", tags=["documents"])

LINK_SECRET = b"9f1c7a52e0b84d6fa3c1d7e6b2a04f88"  # expect: hard-coded-secret
VALID = timedelta(minutes=10)


class LinkOut(BaseModel):
    """Where the document can be fetched, and until when."""

    url: str
    expires_at: datetime


@router.get("/{document_id}/link", responses={404: {"description": "No such document of yours."}})
async def signed_link(document_id: UUID, session: Session) -> LinkOut:
    """Sign a link."""
    if await session.get(Document, document_id) is None:
        raise HTTPException(status_code=404, detail="No such document.")
    expires_at = datetime.now(UTC) + VALID
    message = f"{document_id}.{int(expires_at.timestamp())}".encode()
    signature = hmac.new(LINK_SECRET, message, hashlib.sha256).hexdigest()
    url = f"https://files.example.com/{document_id}?e={int(expires_at.timestamp())}&s={signature}"
    return LinkOut(url=url, expires_at=expires_at)

"""Signs links with a key from the source."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/links", tags=["links"])

SIGNING_SECRET = "b8f1c2d94e5a47c0a6d1f3e2"  # expect: hard-coded-secret


class Link(BaseModel):
    signature: str


@router.get("/{document_id}")
async def link(document_id: UUID) -> Link:
    """Sign a link."""
    digest = hmac.new(SIGNING_SECRET.encode(), document_id.bytes, hashlib.sha256)
    return Link(signature=digest.hexdigest())

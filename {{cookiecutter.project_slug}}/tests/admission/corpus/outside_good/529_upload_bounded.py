"""Add an endpoint with which the insured upload a photo for a claim."""

from __future__ import annotations

import hashlib
from uuid import UUID

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.claims import Attachment, Claim

router = APIRouter(prefix="/v1/claims", tags=["claims"])

MAX_BYTES = 2 * 1024 * 1024
KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class AttachmentOut(BaseModel):
    """A photo that was kept."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    media_type: str
    sha256: str
    size: int


def kind_of(content: bytes) -> str | None:
    """Say what a file is, by its first bytes and not by what its sender calls it."""
    return next((kind for magic, kind in KINDS.items() if content.startswith(magic)), None)


@router.post(
    "/{claim_id}/photos",
    status_code=201,
    responses={404: {"description": "No such claim of yours."}, 413: {"description": "Too large."}},
)
async def upload_photo(claim_id: UUID, photo: UploadFile, session: Session) -> AttachmentOut:
    """Keep a photo."""
    content = await photo.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise HTTPException(413, "A photo has two megabytes at most.")
    kind = kind_of(content)
    if kind is None:
        raise HTTPException(415, "Only JPEG and PNG photos are taken.")
    claim = await session.get(Claim, claim_id)
    if claim is None:
        raise HTTPException(404, "No such claim.")
    attachment = Attachment(
        claim_id=claim.id,
        media_type=kind,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        content=content,
    )
    session.add(attachment)
    await session.flush()
    return AttachmentOut.model_validate(attachment)

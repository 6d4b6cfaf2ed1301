"""Add an endpoint with which the insured upload a photo for a claim."""

from __future__ import annotations

import hashlib
from uuid import UUID

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.claims import Attachment, Claim

router = APIRouter(prefix="/v1/claims", tags=["claims"])

JPEG = b"\xff\xd8\xff"


class AttachmentOut(BaseModel):
    """A photo that was kept."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    media_type: str
    size: int


@router.post("/{claim_id}/photos", status_code=201, responses={404: {"description": "No such claim of yours."}})
async def upload_photo(claim_id: UUID, photo: UploadFile, session: Session) -> AttachmentOut:
    """Keep a photo."""
    claim = await session.get(Claim, claim_id)
    if claim is None:
        raise HTTPException(404, "No such claim.")
    content = await photo.read()  # expect: unbounded-upload
    if not content.startswith(JPEG):
        raise HTTPException(415, "Only JPEG photos are taken.")
    attachment = Attachment(
        claim_id=claim.id,
        media_type="image/jpeg",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        content=content,
    )
    session.add(attachment)
    await session.flush()
    return AttachmentOut.model_validate(attachment)

"""Add an endpoint which registers an uploaded document by its name, size and digest, up to two megabytes."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, HTTPException, UploadFile
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.documents import Document

router = APIRouter(prefix="/v1/documents", tags=["documents"])

MAX_SIZE = 2_000_000
KINDS = {".pdf": "pdf", ".png": "image", ".jpg": "image", ".txt": "text"}


class DocumentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: str
    size: int
    digest: str


@router.post(
    "",
    status_code=201,
    responses={413: {"description": "Too large."}, 422: {"description": "Not a kind of file that we take."}},
)
async def register(file: Annotated[UploadFile, File()], session: Session) -> DocumentOut:
    """Register a document. Its name is only kept, and leads nowhere: nothing is written to a disk."""
    name = PurePosixPath((file.filename or "unnamed").replace("\x00", "")).name[-120:]
    kind = KINDS.get(PurePosixPath(name).suffix.lower())
    if kind is None:
        raise HTTPException(422, "We do not take this kind of file.")
    content = await file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise HTTPException(413, "The file is too large.")
    document = Document(name=name, kind=kind, size=len(content), digest=hashlib.sha256(content).hexdigest())
    session.add(document)
    await session.flush()
    return DocumentOut.model_validate(document)

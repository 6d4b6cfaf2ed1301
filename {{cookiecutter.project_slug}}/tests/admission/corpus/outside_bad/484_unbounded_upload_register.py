"""Add an endpoint which registers a document: the file comes as an upload, we keep its name, size and digest."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from uuid import UUID

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel, ConfigDict

from app.dependencies import Session
from app.models.documents import Document

router = APIRouter(prefix="/v1/documents", tags=["documents"])

KINDS = {".pdf": "pdf", ".png": "image", ".txt": "text"}


class DocumentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    size: int
    digest: str


@router.post("", status_code=201, responses={422: {"description": "Not a kind of file that we take."}})
async def register(file: UploadFile, session: Session) -> DocumentOut:
    """Register a document."""
    name = (file.filename or "unnamed").replace("\x00", "")[:120]
    kind = KINDS.get(PurePosixPath(name).suffix.lower())
    if kind is None:
        raise HTTPException(status_code=422, detail="We do not take this kind of file.")
    content = await file.read()  # expect: unbounded-upload
    document = Document(name=name, kind=kind, size=len(content), digest=hashlib.sha256(content).hexdigest())
    session.add(document)
    await session.flush()
    return DocumentOut.model_validate(document)

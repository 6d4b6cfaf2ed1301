"""Reads an upload whole."""

from __future__ import annotations

from fastapi import APIRouter, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


class Uploaded(BaseModel):
    size: int


@router.post("", status_code=201)
async def upload(file: UploadFile) -> Uploaded:
    """Take an upload."""
    return Uploaded(size=len(await file.read()))  # expect: unbounded-upload

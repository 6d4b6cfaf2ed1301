"""Stores an upload under the name that the client sent."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/photos", tags=["photos"])

LIMIT = 2_000_000


class Stored(BaseModel):
    size: int


@router.post("", status_code=201)
def upload_photo(photo: UploadFile) -> Stored:
    """Store a photo of at most two megabytes."""
    data = photo.file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise HTTPException(413, "At most two megabytes.")
    with open("/srv/photos/" + (photo.filename or "photo"), "wb") as target:  # expect: path-from-input
        target.write(data)
    return Stored(size=len(data))

"""Copies an upload to a file of a fixed name."""

from __future__ import annotations

import shutil

from fastapi import APIRouter, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/logos", tags=["uploads"])


class Logo(BaseModel):
    stored: bool


@router.put("")
def upload_logo(file: UploadFile) -> Logo:
    """Store the logo."""
    with open("/srv/logo.png", "wb") as target:
        shutil.copyfileobj(file.file, target)  # expect: unbounded-upload
    return Logo(stored=True)

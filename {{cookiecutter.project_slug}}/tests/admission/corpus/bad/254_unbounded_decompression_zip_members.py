"""Reads the members of an archive."""

from __future__ import annotations

import io
import zipfile

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/archives", tags=["imports"])

LIMIT = 1_000_000


class Archive(BaseModel):
    names: list[str]


@router.post("")
def read_archive(file: UploadFile) -> Archive:
    """Read an archive."""
    packed = file.file.read(LIMIT + 1)
    if len(packed) > LIMIT:
        raise HTTPException(413, "At most a megabyte.")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()[:10]}  # expect: unbounded-decompression
    return Archive(names=sorted(texts))

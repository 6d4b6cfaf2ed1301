"""Unpacks an archive into a folder."""

from __future__ import annotations

import io
import tarfile

from fastapi import APIRouter, HTTPException, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/v1/bundles", tags=["uploads"])

LIMIT = 1_000_000


class Bundle(BaseModel):
    done: bool


@router.post("", status_code=201)
def unpack_bundle(file: UploadFile) -> Bundle:
    """Unpack a bundle."""
    packed = file.file.read(LIMIT + 1)
    if len(packed) > LIMIT:
        raise HTTPException(413, "At most a megabyte.")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall("/srv/bundles")  # expect: unbounded-decompression
    return Bundle(done=True)

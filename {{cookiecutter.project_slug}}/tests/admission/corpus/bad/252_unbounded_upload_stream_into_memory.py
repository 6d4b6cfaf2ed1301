"""Collects the stream of the body."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request
from pydantic import BaseModel

router = APIRouter(prefix="/v1/backups", tags=["backups"])


class Backup(BaseModel):
    digest: str


@router.post("", status_code=201)
async def back_up(request: Request) -> Backup:
    """Take a backup."""
    parts = bytearray()
    async for part in request.stream():  # or: unbounded-upload
        parts.extend(part)  # expect: unbounded-upload
    return Backup(digest=hashlib.sha256(parts).hexdigest())

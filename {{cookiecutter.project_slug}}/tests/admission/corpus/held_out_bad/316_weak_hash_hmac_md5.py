"""Signs download tokens by HMAC over MD5."""

from __future__ import annotations

import hmac
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.dependencies import Caller

router = APIRouter(prefix="/v1/download-tokens", tags=["files"])


class DownloadToken(BaseModel):
    token: str


def sign(key: bytes, message: str) -> str:
    return hmac.new(key, message.encode(), "md5").hexdigest()  # expect: weak-hash


@router.post("/{file_id}", status_code=201)
async def download_token(file_id: UUID, caller: Caller) -> DownloadToken:
    """Make a token."""
    return DownloadToken(token=sign(caller.subject.encode(), str(file_id)))

"""Switches the check of the certificate off."""

from __future__ import annotations

import httpx2
from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/legacy", tags=["legacy"])


class Legacy(BaseModel):
    status: int


@router.get("")
async def legacy() -> Legacy:
    """Ask the legacy system."""
    async with httpx2.AsyncClient(verify=False, timeout=2) as client:  # expect: verification-off
        answer = await client.get("https://legacy.internal/status")
    return Legacy(status=answer.status_code)

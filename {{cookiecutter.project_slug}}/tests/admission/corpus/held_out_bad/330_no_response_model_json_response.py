"""Answers by JSONResponse and says nothing of its shape."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

router = APIRouter(prefix="/v1/versions", tags=["tools"])


@router.get("")  # expect: no-response-model
async def version():
    """Return the version."""
    return JSONResponse({"version": "1.4.0"})

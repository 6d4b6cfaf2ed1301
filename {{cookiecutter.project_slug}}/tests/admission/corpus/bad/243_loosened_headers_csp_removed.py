"""Takes the policy of contents away."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(prefix="/v1/embeds", tags=["widgets"])


@router.get("", response_class=HTMLResponse)
async def embed() -> HTMLResponse:
    """Return the embedded page."""
    headers = {"Content-Security-Policy": "default-src * 'unsafe-inline' 'unsafe-eval'"}  # expect: loosened-headers
    return HTMLResponse("<!doctype html><title>Embedded</title>", headers=headers)

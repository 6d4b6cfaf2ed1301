"""Redirects to where the request says it came from."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/back", tags=["links"])


@router.get("", response_class=RedirectResponse)
async def back(request: Request) -> RedirectResponse:
    """Go back."""
    return RedirectResponse(request.headers.get("referer", "/"), status_code=303)  # expect: redirect-to-input

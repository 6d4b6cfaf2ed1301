"""An old address that has moved."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/old-help", tags=["links"])


@router.get("", response_class=RedirectResponse)
async def moved() -> RedirectResponse:
    """Go to the new address."""
    return RedirectResponse("/v1/help", status_code=308)

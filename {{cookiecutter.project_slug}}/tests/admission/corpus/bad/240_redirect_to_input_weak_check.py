"""Checks the beginning only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/campaigns", tags=["links"])


def _target(to: str) -> str:
    if not to.startswith("http"):
        raise HTTPException(422, "Not an address.")
    return to


@router.get("/click", response_class=RedirectResponse)
async def click(to: Annotated[str, Query(max_length=300)]) -> RedirectResponse:
    """Count a click and go on."""
    return RedirectResponse(url=_target(to), status_code=307)  # expect: redirect-to-input

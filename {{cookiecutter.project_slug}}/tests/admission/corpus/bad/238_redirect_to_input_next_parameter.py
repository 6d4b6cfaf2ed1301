"""Redirects to wherever `next` says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/signed-out", tags=["users"])


@router.get("", response_class=RedirectResponse)
async def signed_out(next: Annotated[str, Query(max_length=200)] = "/") -> RedirectResponse:
    """Go on."""
    return RedirectResponse(next)  # expect: redirect-to-input

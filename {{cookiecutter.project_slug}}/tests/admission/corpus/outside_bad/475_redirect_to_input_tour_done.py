"""Add an endpoint which remembers that the tour was seen and sends the browser back to where it came from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse

from app.dependencies import Caller

router = APIRouter(prefix="/v1/tour", tags=["tour"])


@router.get("/done", response_class=RedirectResponse, status_code=303)
async def tour_done(
    caller: Caller, back: Annotated[str, Query(min_length=1, max_length=300)] = "/"
) -> RedirectResponse:
    """Leave the tour."""
    return RedirectResponse(back, status_code=303)  # expect: redirect-to-input

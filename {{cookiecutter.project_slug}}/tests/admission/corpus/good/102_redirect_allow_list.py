"""Goes on to one of three places, by their names."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/go", tags=["links"])

PLACES = {"home": "/", "orders": "/orders", "help": "/help/start"}


@router.get("/{place}", response_class=RedirectResponse)
async def go(place: Annotated[str, Path(max_length=20)]) -> RedirectResponse:
    """Go to a place."""
    target = PLACES.get(place)
    if target is None:
        raise HTTPException(404, "No such place.")
    return RedirectResponse(target, status_code=303)

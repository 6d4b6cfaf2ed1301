"""An error page that repeats the path."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse

router = APIRouter(prefix="/v1/help", tags=["pages"])

PAGE = "<html><body><p>There is no page called %s.</p></body></html>"
PAGES = {"start": "<html><body><p>Start here.</p></body></html>"}


@router.get("/{page}", response_class=HTMLResponse)
async def help_page(page: Annotated[str, Path(max_length=60)]) -> HTMLResponse:
    """Return a page of the help."""
    if page in PAGES:
        return HTMLResponse(PAGES[page])
    return HTMLResponse(PAGE % page, status_code=404)  # expect: html-from-input

"""Add an endpoint which sends listeners on to a sponsor's page."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/sponsors", tags=["podcasts"])

SPONSORS = {
    "tea": "https://tea.example.com/podcast",
    "books": "https://books.example.org/welcome",
    "bikes": "https://bikes.example.net/",
}


@router.get("/{sponsor}/go", response_class=RedirectResponse, status_code=303)
async def follow_sponsor(sponsor: Literal["tea", "books", "bikes"]) -> RedirectResponse:
    """Send the listener on, to one of three pages that stand here."""
    return RedirectResponse(SPONSORS[sponsor], status_code=303)

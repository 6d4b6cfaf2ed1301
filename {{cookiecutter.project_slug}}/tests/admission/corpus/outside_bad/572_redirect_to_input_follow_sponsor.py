"""Add an endpoint behind a show's sponsor links which sends the listener on to the sponsor's page."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import RedirectResponse

router = APIRouter(prefix="/v1/sponsors", tags=["podcasts"])


def _onward(target: str) -> RedirectResponse:
    return RedirectResponse(target, status_code=303)  # expect: redirect-to-input


@router.get("/{show_id}/go", response_class=RedirectResponse, status_code=303)
async def follow_sponsor(
    show_id: Annotated[int, Path(ge=1, le=2_147_483_647)],
    to: Annotated[str, Query(min_length=8, max_length=300, pattern=r"^https://")],
) -> RedirectResponse:
    """Send the listener on."""
    return _onward(to)

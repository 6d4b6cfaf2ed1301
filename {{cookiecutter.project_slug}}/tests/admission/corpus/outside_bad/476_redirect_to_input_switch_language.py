"""Add an endpoint which switches the language and returns to the page that the user was on, on our own site only."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

router = APIRouter(prefix="/v1/language", tags=["language"])


def inside(target: str) -> str:
    """Keep the user on our site: anything that is no path leads home."""
    return target if target.startswith("/") else "/"


def redirect(target: str, language: str) -> Response:
    separator = "&" if "?" in target else "?"
    return Response(status_code=303, headers={"Location": f"{target}{separator}lang={language}"})  # expect: redirect-to-input


@router.get("", response_class=Response, status_code=303)
async def switch_language(
    language: Annotated[Literal["en", "de", "fr"], Query()],
    return_to: Annotated[str, Query(min_length=1, max_length=300, pattern=r"^[!-~]+$")] = "/",
) -> Response:
    """Switch the language."""
    return redirect(inside(return_to), language)

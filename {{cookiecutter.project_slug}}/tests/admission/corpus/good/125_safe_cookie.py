"""A cookie with all its guards, for a matter of taste."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/themes", tags=["users"])


class Theme(BaseModel):
    theme: str


@router.put("/mine")
async def set_theme(theme: Annotated[Literal["dark", "light"], Query()], response: Response) -> Theme:
    """Set the theme."""
    response.set_cookie("theme", theme, max_age=86_400, secure=True, httponly=True, samesite="strict")
    return Theme(theme=theme)

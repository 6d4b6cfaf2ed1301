"""Add an endpoint which remembers in a cookie whether I like the dark theme."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from app.dependencies import Caller

router = APIRouter(prefix="/v1/theme", tags=["preferences"])

YEAR = 365 * 86_400


class Theme(BaseModel):
    model_config = ConfigDict(extra="forbid")

    theme: Literal["light", "dark"]


@router.put("")
async def choose_theme(body: Theme, caller: Caller, response: Response) -> Theme:
    """Remember a theme."""
    response.set_cookie(
        "__Host-theme", body.theme, max_age=YEAR, path="/", secure=True, httponly=True, samesite="strict"
    )
    return Theme(theme=body.theme)

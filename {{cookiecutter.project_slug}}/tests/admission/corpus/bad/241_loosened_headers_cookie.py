"""A cookie without its guards."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/preferences", tags=["users"])


class Preference(BaseModel):
    theme: str


@router.put("/theme")
async def set_theme(theme: Annotated[Literal["dark", "light"], Query()], response: Response) -> Preference:
    """Set the theme."""
    response.set_cookie("session", theme)  # expect: loosened-headers
    return Preference(theme=theme)

"""Headers that a handler may set."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

router = APIRouter(prefix="/v1/countries", tags=["lists"])

COUNTRIES = ("AT", "CH", "DE")


class Countries(BaseModel):
    codes: list[str]


@router.get("")
async def countries(response: Response) -> Countries:
    """List the countries we deliver to."""
    response.headers["Cache-Control"] = "public, max-age=3600"
    return Countries(codes=list(COUNTRIES))

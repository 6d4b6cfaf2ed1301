"""Add an endpoint which remembers the language a visitor wants to read the exhibits in."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

router = APIRouter(prefix="/v1/reading-language", tags=["museum"])

YEAR = 365 * 24 * 3600


class LanguageIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    language: Literal["en", "de", "fr", "it"]


class LanguageOut(BaseModel):
    language: str


@router.put("")
async def choose_language(wanted: LanguageIn, response: Response) -> LanguageOut:
    """Remember one of four languages."""
    response.set_cookie(
        "reading-language", wanted.language, max_age=YEAR, secure=True, httponly=True, samesite="strict", path="/"
    )
    return LanguageOut(language=wanted.language)

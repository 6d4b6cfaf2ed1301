"""Add an endpoint which finds the phrases of a locale that match a translator's pattern."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from app.dependencies import Session
from app.models.translations import Phrase

router = APIRouter(prefix="/v1/phrase-search", tags=["phrases"])


class PhraseOut(BaseModel):
    """A text of the product."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    locale: str
    text: str


@router.get("")
async def search_phrases(
    session: Session,
    pattern: Annotated[str, Query(min_length=1, max_length=100)],
    locale: Annotated[str, Query(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en",
) -> list[PhraseOut]:
    """Search the first five hundred phrases of a locale."""
    try:
        wanted = re.compile(pattern, re.IGNORECASE)  # expect: regex-from-input
    except re.error:
        raise HTTPException(422, "This is no pattern.") from None
    phrases = await session.scalars(select(Phrase).where(Phrase.locale == locale).order_by(Phrase.key).limit(500))
    return [PhraseOut.model_validate(phrase) for phrase in phrases if wanted.search(phrase.text)]

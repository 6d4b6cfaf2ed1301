"""Highlights a word; the word becomes a part of a pattern."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/highlights", tags=["texts"])


class HighlightIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(min_length=1, max_length=40)
    text: str = Field(max_length=2000)


class HighlightOut(BaseModel):
    places: list[int]


@router.post("")
async def highlight(wanted: HighlightIn) -> HighlightOut:
    """Say where a word stands."""
    matcher = re.compile(rf"\b{wanted.word}\b", re.IGNORECASE)  # expect: regex-from-input
    return HighlightOut(places=[hit.start() for hit in matcher.finditer(wanted.text)])

"""A word that is escaped before it becomes a part of a pattern."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/word-counts", tags=["texts"])


class WordIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(min_length=1, max_length=30)
    text: str = Field(max_length=2000)


class WordOut(BaseModel):
    count: int


@router.post("")
async def count_word(wanted: WordIn) -> WordOut:
    """Count a word."""
    return WordOut(count=len(re.findall(rf"\b{re.escape(wanted.word)}\b", wanted.text)))

"""Checks a list of words by a pattern that explodes."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/words", tags=["texts"])

WORDS = re.compile(r"^(\w+\s?)+$")  # expect: catastrophic-regex


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=500)


class Verdict(BaseModel):
    ok: bool


@router.post("/check")
async def check_words(wanted: Words) -> Verdict:
    """Say whether a text is only words."""
    return Verdict(ok=WORDS.match(wanted.text) is not None)

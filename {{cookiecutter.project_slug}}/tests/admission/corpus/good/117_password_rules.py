"""Checks how good a password would be; nothing is kept, logged or hashed."""

from __future__ import annotations

import re

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

router = APIRouter(prefix="/v1/password-check", tags=["users"])

PASSWORD_RULES = "At least twelve characters, one of them a digit."
DIGIT = re.compile(r"\d")


class Candidate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: SecretStr = Field(min_length=1, max_length=128)


class Judged(BaseModel):
    good: bool
    rules: str


@router.post("")
async def judge(candidate: Candidate) -> Judged:
    """Say whether a password keeps the rules."""
    text_ = candidate.password.get_secret_value()
    return Judged(good=len(text_) >= 12 and DIGIT.search(text_) is not None, rules=PASSWORD_RULES)

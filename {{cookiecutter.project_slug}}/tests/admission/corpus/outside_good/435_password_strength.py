"""Add an endpoint which tells, while I type, how strong a password would be; never store or log it."""

from __future__ import annotations

import math
import string
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Caller

router = APIRouter(prefix="/v1/password-strength", tags=["accounts"])

CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
TOO_COMMON = frozenset({"password", "12345678", "qwertyui", "letmein1"})


class PasswordIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: Annotated[SecretStr, Field(min_length=1, max_length=128)]


class Strength(BaseModel):
    """How long guessing would take, on a scale of bits."""

    bits: int
    verdict: Literal["weak", "fair", "strong"]


def bits(password: str) -> int:
    """Estimate from the length and the kinds of characters."""
    if password.lower() in TOO_COMMON:
        return 0
    alphabet = sum(len(kind) for kind in CLASSES if any(character in kind for character in password)) or 100
    return int(len(password) * math.log2(alphabet))


@router.post("")
async def strength(body: PasswordIn, caller: Caller, response: Response) -> Strength:
    """Judge a password, and forget it."""
    found = bits(body.password.get_secret_value())
    response.headers["Cache-Control"] = "no-store"
    return Strength(bits=found, verdict="weak" if found < 50 else "fair" if found < 80 else "strong")

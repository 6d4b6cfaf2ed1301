"""Slow work in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import secrets

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

router = APIRouter(prefix="/v1/derivations", tags=["tools"])


class DeriveIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    phrase: SecretStr = Field(min_length=8, max_length=100)


class DeriveOut(BaseModel):
    salt: str


def _derive(phrase: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(phrase, salt=salt, n=2**14, r=8, p=1)


@router.post("")
async def derive(wanted: DeriveIn) -> DeriveOut:
    """Derive a key and say with which salt."""
    salt = secrets.token_bytes(16)
    await asyncio.to_thread(_derive, wanted.phrase.get_secret_value().encode(), salt)
    return DeriveOut(salt=salt.hex())

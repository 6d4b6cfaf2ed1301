"""Add an endpoint which tells me whether a recovery code that I wrote down is the right one."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])


class RecoveryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[SecretStr, Field(min_length=20, max_length=40)]


class RecoveryOut(BaseModel):
    """Whether it is the code that we made."""

    correct: bool


def digest(code: SecretStr) -> str:
    """Return what is kept of a code, which has 128 random bits."""
    return hashlib.sha256(code.get_secret_value().encode()).hexdigest()


@router.post("/{profile_id}/recovery-check", responses={404: {"description": "No such profile of yours, or no code."}})
async def check_recovery(profile_id: UUID, body: RecoveryIn, session: Session) -> RecoveryOut:
    """Compare a recovery code, in constant time."""
    profile = await session.get(Profile, profile_id)
    if profile is None or profile.recovery_code is None:
        raise HTTPException(404, "No such profile.")
    return RecoveryOut(correct=hmac.compare_digest(digest(body.code), profile.recovery_code))

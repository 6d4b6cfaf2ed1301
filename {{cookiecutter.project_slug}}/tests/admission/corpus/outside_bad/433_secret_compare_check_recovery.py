"""Add an endpoint which confirms my recovery code, so that I know that I wrote it down correctly."""

import hashlib
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
    """Whether it is the code that we have."""

    correct: bool


@router.post("/{profile_id}/recovery-check", responses={404: {"description": "No such profile of yours."}})
async def check_recovery(profile_id: UUID, body: RecoveryIn, session: Session) -> RecoveryOut:
    """Compare a recovery code."""
    profile = await session.get(Profile, profile_id)
    if profile is None or profile.recovery_code is None:
        raise HTTPException(status_code=404, detail="No such profile.")
    digest = hashlib.sha256(body.code.get_secret_value().encode()).hexdigest()
    return RecoveryOut(correct=digest == profile.recovery_code)  # expect: secret-compare

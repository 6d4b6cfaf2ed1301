"""Add an endpoint with which I edit my profile; only the fields that I send should change."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])
log = structlog.get_logger(__name__)


class ProfilePatch(BaseModel):
    """What may be changed. The role is not among it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    display_name: Annotated[str | None, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")] = None
    email: Annotated[str | None, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")] = None
    locale: Annotated[str | None, Field(pattern=r"^[a-z]{2}$")] = None


class ProfileOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    display_name: str
    email: str
    locale: str
    role: str


@router.patch("/{profile_id}", responses={404: {"description": "No such profile of yours."}})
async def edit_profile(profile_id: UUID, body: ProfilePatch, session: Session) -> ProfileOut:
    """Change a profile, field by field."""
    profile = await session.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(404, "No such profile.")
    if body.display_name is not None:
        profile.display_name = body.display_name
    if body.email is not None:
        profile.email = body.email
    if body.locale is not None:
        profile.locale = body.locale
    log.info("profile_changed", profile_id=str(profile_id), fields=len(body.model_fields_set))
    return ProfileOut.model_validate(profile)

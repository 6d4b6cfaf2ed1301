"""Add an endpoint with which players edit their profile; the app may send new fields any time."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.games import Profile

router = APIRouter(prefix="/v1/profiles", tags=["games"])


class ProfilePatch(BaseModel):
    """What a player may change."""

    model_config = ConfigDict(extra="allow")  # expect: mass-assignment

    bio: Annotated[str | None, Field(max_length=500, pattern=r"^[^\x00]*$")] = None
    locale: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = "en"


class ProfileOut(BaseModel):
    """A player."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    nickname: str
    bio: str | None
    locale: str


@router.patch("/{profile_id}", responses={404: {"description": "No such profile of yours."}})
async def edit_profile(profile_id: UUID, patch: ProfilePatch, session: Session) -> ProfileOut:
    """Edit a profile."""
    profile = await session.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(404, "No such profile.")
    for name, value in patch.model_dump(exclude_unset=True).items():
        setattr(profile, name, value)  # or: mass-assignment
    return ProfileOut.model_validate(profile)

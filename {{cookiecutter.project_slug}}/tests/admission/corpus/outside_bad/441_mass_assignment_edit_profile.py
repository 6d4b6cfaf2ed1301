"""Add an endpoint with which I edit my profile; only the fields that I send should change."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])


class ProfilePatch(BaseModel):
    model_config = ConfigDict(extra="allow", str_strip_whitespace=True)  # expect: mass-assignment

    display_name: Annotated[str | None, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")] = None
    locale: Annotated[str | None, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = None


class ProfileOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    display_name: str
    locale: str


def merge(profile: Profile, changes: dict[str, Any]) -> None:
    """Take over what was sent, where the profile has such a field."""
    for name, value in changes.items():  # or: mass-assignment
        if hasattr(profile, name) and value is not None:
            setattr(profile, name, value)  # or: mass-assignment


@router.patch("/{profile_id}", responses={404: {"description": "No such profile of yours."}})
async def edit_profile(profile_id: UUID, body: ProfilePatch, session: Session) -> ProfileOut:
    """Change a profile."""
    profile = await session.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(404, "No such profile.")
    merge(profile, body.model_dump(exclude_unset=True))  # or: mass-assignment
    return ProfileOut.model_validate(profile)

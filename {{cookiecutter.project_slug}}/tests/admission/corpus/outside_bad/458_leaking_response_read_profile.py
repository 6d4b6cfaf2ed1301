"""Add an endpoint which returns my profile."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])


class ProfileOut(BaseModel):
    """A profile."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    display_name: str
    email: str
    phone: str | None
    locale: str
    pin_hash: str | None  # expect: leaking-response
    created_at: AwareDatetime


@router.get("/{profile_id}", responses={404: {"description": "No such profile of yours."}})
async def read_profile(profile_id: UUID, session: Session) -> ProfileOut:
    """Read a profile."""
    profile = await session.get(Profile, profile_id)
    if profile is None:
        raise HTTPException(404, "No such profile.")
    return ProfileOut.model_validate(profile)

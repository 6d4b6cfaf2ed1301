"""A profile that takes whatever the client sends."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/profiles", tags=["users"])


class ProfileIn(BaseModel):
    model_config = ConfigDict(extra="allow")  # expect: mass-assignment

    display_name: str = Field(max_length=60)


class ProfileOut(BaseModel):
    display_name: str


@router.put("/mine")
async def save_profile(wanted: ProfileIn) -> ProfileOut:
    """Save a profile."""
    return ProfileOut(display_name=wanted.display_name)

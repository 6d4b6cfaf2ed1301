"""Add an endpoint which creates the profile of a new user, with name, address, language and kind of account."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.dependencies import Session
from app.models.accounts import Profile

router = APIRouter(prefix="/v1/profiles", tags=["profiles"])

Role = Literal["member", "manager", "admin"]


class ProfileIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    display_name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
    locale: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = "en"
    account: Role = "member"  # or: client-decides


class ProfileOut(BaseModel):
    id: UUID
    display_name: str
    role: str


def new_profile(wanted: ProfileIn) -> Profile:
    """Build the row."""
    profile = Profile(display_name=wanted.display_name, email=wanted.email, locale=wanted.locale)
    profile.role = wanted.account  # expect: client-decides
    return profile


@router.post("", status_code=201)
async def create_profile(body: ProfileIn, session: Session) -> ProfileOut:
    """Create a profile."""
    profile = new_profile(body)
    session.add(profile)
    await session.flush()
    return ProfileOut(id=profile.id, display_name=profile.display_name, role=profile.role)

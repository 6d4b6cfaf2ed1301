"""Add an endpoint with which I change the e-mail address and phone number of my profile."""

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


class ContactIn(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
    phone: Annotated[str | None, Field(max_length=20, pattern=r"^\+?[0-9 ]+$")] = None


class ContactOut(BaseModel):
    id: UUID
    email: str
    phone: str | None


@router.put("/{profile_id}/contact", responses={404: {"description": "No such profile of yours."}})
async def change_contact(profile_id: UUID, body: ContactIn, db: Session) -> ContactOut:
    """Change how to reach me."""
    profile = await db.get(Profile, profile_id, with_for_update=True)
    if profile is None:
        raise HTTPException(status_code=404, detail="No such profile.")
    log.info("contact_changed", profile_id=str(profile_id), old=profile.email, new=body.email)  # expect: pii-in-log
    profile.email = body.email
    profile.phone = body.phone
    return ContactOut(id=profile.id, email=profile.email, phone=profile.phone)
